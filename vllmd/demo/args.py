"""The part of vLLM's command line that the stand-in knows; anything else ends it with code 2."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from vllmd.demo.group import GroupArgs


@attrs.frozen
class Args:
    """What the stand-in was told."""

    model: str
    served_names: tuple[str, ...]
    host: str
    port: int
    max_model_len: int
    max_num_seqs: int
    max_loras: int
    max_lora_rank: int
    lora_modules: dict[str, str]
    shutdown_timeout: float
    disable_log_stats: bool
    traces_endpoint: str | None
    ranks: int = 1
    """How many GPUs it would have."""
    enable_sleep_mode: bool = False
    group: GroupArgs | None = None
    """Its part of a model over several hosts; None if it is of one host."""
    data_ranks: int = 1
    """Data parallel ranks behind its API server, on all hosts."""
    weights_dir: str | None = None
    """Where its weights are handed out; None if it loads them itself."""
    api_keys: tuple[str, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class PreloadArgs:
    """What the stand-in's `vllm preload` was told."""

    model: str
    ranks: int
    socket_dir: str


def parse_preload_args(argv: Sequence[str]) -> PreloadArgs:
    """Read the arguments of `vllm preload`, of those that the stand-in knows.

    Raises: SystemExit: as `parse_args`.
    """
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    preload = parser.add_subparsers(dest="command", required=True).add_parser("preload")
    preload.add_argument("--model", required=True)
    preload.add_argument("--weight-cache-socket-dir", required=True)
    _add_of_both(preload)
    space = parser.parse_args(argv)
    return PreloadArgs(space.model, space.tensor_parallel_size, space.weight_cache_socket_dir)


def parse_args(argv: Sequence[str]) -> Args:
    """Read vLLM's arguments.

    Raises: SystemExit: with code 2 and vLLM's words for an argument that is not known.
    """
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = parser.add_subparsers(dest="command", required=True).add_parser("serve")
    serve.add_argument("model_tag")
    serve.add_argument("--served-model-name", nargs="+", default=[])
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--max-num-seqs", type=int, default=256)
    serve.add_argument("--lora-modules", nargs="+", type=_module, default=[])
    serve.add_argument("--load-format")
    serve.add_argument("--model-loader-extra-config", type=json.loads, default={})
    serve.add_argument("--gpu-memory-utilization", type=float)
    serve.add_argument("--otlp-traces-endpoint")
    serve.add_argument("--shutdown-timeout", type=float, default=0)
    serve.add_argument("--disable-log-stats", action="store_true")
    serve.add_argument("--enable-sleep-mode", action=argparse.BooleanOptionalAction)
    serve.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
    serve.add_argument("--config", type=_read_config, default={})
    _add_of_groups(serve)
    _add_of_both(serve)
    space = parser.parse_args(argv)
    if space.headless and space.api_server_count:
        text = f"ValueError: --api-server-count={space.api_server_count} cannot be used with "
        raise SystemExit(f"{text}--headless (no API servers are started in headless mode).")
    mapping = space.load_format == "ipc_cache"
    return Args(
        model=space.model_tag,
        served_names=tuple(space.served_model_name) or (space.model_tag,),
        host=space.host,
        port=space.port,
        max_model_len=space.max_model_len,
        max_num_seqs=space.max_num_seqs,
        max_loras=space.max_loras,
        max_lora_rank=space.max_lora_rank,
        lora_modules=dict(space.lora_modules),
        shutdown_timeout=space.shutdown_timeout,
        disable_log_stats=space.disable_log_stats,
        traces_endpoint=space.otlp_traces_endpoint,
        ranks=space.tensor_parallel_size,
        group=_group(space),
        data_ranks=space.data_parallel_size,
        enable_sleep_mode=bool(space.enable_sleep_mode),
        weights_dir=space.model_loader_extra_config.get("socket_dir") if mapping else None,
        api_keys=tuple(space.config.get("api-key", ())),
    )


def _read_config(path: str) -> dict[str, Any]:
    """Read a file of vLLM's configuration, of which the stand-in knows what is JSON."""
    made: dict[str, Any] = json.loads(Path(path).read_text())
    return made


def _add_of_both(parser: argparse.ArgumentParser) -> None:
    """Add what `vllm serve` and `vllm preload` take: by these the weights may be others."""
    parser.add_argument("--max-model-len", type=_length, default=4096)
    parser.add_argument("--max-loras", type=int, default=1)
    parser.add_argument("--max-lora-rank", type=int, default=16)
    parser.add_argument("--enable-lora", action=argparse.BooleanOptionalAction)
    parser.add_argument("--quantization")
    parser.add_argument("--dtype")
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    parser.add_argument("--kv-transfer-config", type=json.loads)
    parser.add_argument("--enforce-eager", action=argparse.BooleanOptionalAction)


def _add_of_groups(parser: argparse.ArgumentParser) -> None:
    """Add what a part of a model over several hosts is told."""
    for name in ("nnodes", "data-parallel-size"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--data-parallel-size-local", type=int)
    for name in ("node-rank", "data-parallel-start-rank"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--master-addr", default="127.0.0.1")
    parser.add_argument("--master-port", type=int, default=29501)
    parser.add_argument("--distributed-executor-backend")
    parser.add_argument("--data-parallel-address", default="127.0.0.1")
    parser.add_argument("--data-parallel-rpc-port", type=int, default=29550)
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--api-server-count", type=int)
    parser.add_argument("--pipeline-parallel-size", type=int, default=1)


def _group(space: argparse.Namespace) -> GroupArgs | None:
    """Return the part that the flags give this process."""
    if space.nnodes > 1:
        place = (space.nnodes, space.node_rank, space.master_addr, space.master_port)
        return GroupArgs(True, *place)
    local = space.data_parallel_size_local or space.data_parallel_size
    if space.data_parallel_size <= local:
        return None
    parts, part = space.data_parallel_size // local, space.data_parallel_start_rank // local
    address, port = space.data_parallel_address, space.data_parallel_rpc_port
    return GroupArgs(False, parts, part, address, port, local)


def _length(text: str) -> int:
    """Read a length as vLLM does: `k` is a thousand, `K` 1,024."""
    factors = {"k": 1000, "K": 1024, "m": 1000**2, "M": 1024**2}
    if text == "auto":
        return 4096
    factor = factors.get(text[-1:], 1)
    return int(float(text.rstrip("kKmM")) * factor)


def _module(text: str) -> tuple[str, str]:
    if text.startswith("{"):
        module = json.loads(text)
        return module["name"], module["path"]
    name, _, path = text.partition("=")
    return name, path
