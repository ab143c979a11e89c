"""vLLM's own side of the weight cache: run by the engine's Python, its device made up.

``python weight_cache.py WHAT MODEL FOLDER [FLAGS]`` prints one JSON object. A CPU has no CUDA IPC:
what is replaced is the device's UUID, how much of its memory is allocated, and nothing else.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

UUID = "GPU-stand-in-0"
"""That of rank 0 of the stand-in."""
ALLOCATED = 12345


class _CaughtError(BaseException):
    """Carries the parser out of the program."""


def main() -> None:
    """Do what was asked for."""
    what, model, folder, *more = sys.argv[1:]
    asked: Mapping[str, Callable[..., dict[str, Any]]] = {
        "parsers": parsers,
        "client": client,
        "serve": serve,
        "models": models,
    }
    print(f"\n{json.dumps(asked[what](model, folder, *more))}", flush=True)


def parsers(_model: str, _folder: str) -> dict[str, Any]:
    """Return the flags of `vllm serve` and of `vllm preload`."""
    sys.argv = ["vllm", "preload", "--help"]
    from vllm.entrypoints.cli import main as program

    def caught(parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise _CaughtError(parser)

    argparse.ArgumentParser.parse_known_args = caught  # type: ignore[method-assign,assignment]
    try:
        program.main()
    except _CaughtError as error:
        (commands,) = [
            each for each in error.args[0]._actions if isinstance(each, argparse._SubParsersAction)
        ]
    found: dict[str, list[str]] = {}
    for name in ("serve", "preload"):
        options = (each.option_strings for each in commands.choices[name]._actions)
        found[name] = [word[2:] for words in options for word in words if word.startswith("--")]
    return found


def _config(model: str, *flags: str) -> Any:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
    args = parser.parse_args(["--model", model, "--enforce-eager", "--dtype", "float32", *flags])
    return EngineArgs.from_cli_args(args).create_engine_config()


def client(model: str, folder: str) -> dict[str, Any]:
    """Ask, as an engine does, whoever hands weights out in a folder."""
    from vllm.config.load import LoadConfig
    from vllm.model_executor.model_loader.weight_cache import ipc_loader
    from vllm.model_executor.model_loader.weight_cache.protocol import WeightCacheKey

    ipc_loader.get_current_device_uuid = lambda: UUID
    extra = {"socket_dir": folder}
    loader = ipc_loader.IpcModelLoader(
        LoadConfig(load_format="ipc_cache", model_loader_extra_config=extra)
    )
    about = _config(model).model_config
    key = WeightCacheKey.from_model_config(about, tp_size=1, tp_rank=0)
    state = loader._request_state(key)
    try:
        loader._request_state(WeightCacheKey.from_model_config(about, tp_size=2, tp_rank=0))
        mismatch = ""
    except ipc_loader.CacheConfigMismatchError as error:
        mismatch = str(error)
    return {
        "path": loader._resolve_socket_path(),
        "memory": loader._query_daemon_memory(),
        "entries": len(state.entries),
        "mismatch": mismatch,
    }


def serve(model: str, folder: str) -> dict[str, Any]:
    """Hand out no tensors in a folder, by vLLM's own daemon, until killed."""
    import torch
    from vllm.model_executor.model_loader.weight_cache import daemon
    from vllm.model_executor.model_loader.weight_cache.protocol import WeightCacheKey

    daemon.get_current_device_uuid = lambda: UUID
    torch.accelerator.memory_allocated = lambda: ALLOCATED
    made = daemon.WeightCacheDaemon.__new__(daemon.WeightCacheDaemon)
    about = _config(model).model_config
    made.cache_config = WeightCacheKey.from_model_config(about, tp_size=1, tp_rank=0)
    made.model, made.socket_dir, made.is_draft = torch.nn.Module(), folder, False
    made.role, made.global_rank = "target", 0
    made.serve_forever(lambda: print("READY", flush=True))
    return {}


def models(model: str, _folder: str, *cases: str) -> dict[str, Any]:
    """Load the model as vLLM's daemon does, with each case of flags; returns what it then holds.

    A case is flags in JSON; what is returned is by the case a hash over names, shapes and values.
    """
    from vllm.config import set_current_vllm_config
    from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment
    from vllm.model_executor.model_loader.weight_cache.daemon import WeightCacheDaemon
    from vllm.utils.network_utils import get_distributed_init_method, get_open_port

    found: dict[str, Any] = {}
    where = get_distributed_init_method("127.0.0.1", get_open_port())
    for case in cases:
        try:
            config = _config(model, *json.loads(case))
        except (SystemExit, ValueError) as error:
            found[case] = f"refused: {error}"
            continue
        made = WeightCacheDaemon(config, 0, 0, where)
        with set_current_vllm_config(config):
            if not found:
                init_distributed_environment(
                    world_size=1,
                    rank=0,
                    distributed_init_method=where,
                    local_rank=0,
                    backend="gloo",
                )
                ensure_model_parallel_initialized(1, 1)
            found[case] = _hash(made.get_model(), made.cache_config)
    return found


def _hash(model: Any, key: Any) -> str:
    found = hashlib.sha256(repr(key).encode())
    tensors = [*model.named_parameters(remove_duplicate=False)]
    tensors += model.named_buffers(remove_duplicate=False)
    assert tensors
    for name, tensor in tensors:
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().float().numpy().tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
