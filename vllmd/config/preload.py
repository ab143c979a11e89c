"""`preload = true`: the command that keeps an engine's weights in GPU memory, and what forbids it.

`vllm preload` loads the weights and hands them out over a socket for each GPU; an engine that is
started with the load format ``ipc_cache`` maps them. Both take the engine's flags: a flag that is
not known to leave the weights as they are is given to both, and another value of it means other
weights.

Source: vLLM 0.32, vllm/entrypoints/cli/preload.py, vllm/model_executor/model_loader/weight_cache.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from vllmd.config.flags import written
from vllmd.config.gpus import gpus_used
from vllmd.config.lora import RUNTIME_UPDATING
from vllmd.shim.files import parse_json

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

FIRST_VERSION = (0, 31)
"""The first vLLM that has `vllm preload`."""
LOAD_FORMAT = "ipc_cache"
SOCKET_PREFIX, SOCKET_SUFFIX = "vllm_weight_cache_", ".sock"
MAX_SOCKET_NAME = len(SOCKET_PREFIX) + 32 + len("_draft") + len(SOCKET_SUFFIX)
"""Bytes: a GPU's UUID is hashed (MD5, in hexadecimal). Source: `get_socket_path` in protocol.py."""
SPECULATIVE = "speculative-config"
DRAFT_METHODS = ("mtp", "eagle", "eagle3")
"""Speculative methods whose draft is kept too. Source: `WEIGHT_CACHE_DRAFT_METHODS` in utils.py."""

NOT_FOR_WEIGHTS = re.compile(r"VLLM_API_KEY|OTEL_.*|" + RUNTIME_UPDATING)
"""Variables of an engine that are none of the weights' business."""
_SAME_WEIGHTS = re.compile(
    r"HF_TOKEN|HUGGING_FACE_HUB_TOKEN|NO_PROXY|no_proxy|PROMETHEUS_.*|VLLM_LOGGING_.*"
)
"""Variables that a load may need, and whose values make no other weights."""

SERVING_FLAGS = frozenset(
    {
        # of the API server alone: `vllm preload` does not know them
        *("allow-credentials", "allowed-headers", "allowed-methods", "allowed-origins"),
        *("anthropic-disabled-thinking-effort", "api-server-count", "chat-template"),
        *("chat-template-content-format", "cohere-format", "cohere-is-reasoning-model"),
        *("default-chat-template-kwargs", "disable-access-log-for-endpoints"),
        *("disable-fastapi-docs", "disable-uvicorn-access-log", "enable-auto-tool-choice"),
        *("enable-flash-late-interaction", "enable-force-include-usage", "enable-log-deltas"),
        *("enable-log-outputs", "enable-log-requests", "enable-offline-docs"),
        *("enable-per-request-metrics", "enable-prompt-tokens-details"),
        *("enable-request-id-headers", "enable-scale-out", "enable-server-load-tracking"),
        *("enable-ssl-refresh", "enable-tokenizer-info-endpoint"),
        *("exclude-tools-when-tool-choice-none", "fingerprint-mode", "fingerprint-value"),
        *("grpc", "grpc-port", "h11-max-header-count", "h11-max-incomplete-event-size"),
        *("log-error-stack", "max-log-len", "middleware", "response-role"),
        *("return-tokens-as-token-ids", "root-path", "sse-keep-alive-interval", "ssl-ca-certs"),
        *("ssl-cert-reqs", "ssl-certfile", "ssl-ciphers", "ssl-keyfile", "tokens-only"),
        *("tool-call-parser", "tool-parser-plugin", "tool-server", "tool-strict-level"),
        *("trust-request-chat-template", "trust-request-mm-kwargs", "uvicorn-log-level"),
    }
)
OTHER_FLAGS = frozenset(
    {
        # of the engine: its statistics, its scheduler, its KV cache, its answers
        *("aggregate-engine-logging", "disable-log-stats", "otlp-traces-endpoint"),
        *("collect-detailed-traces", "show-hidden-metrics-for-version", "kv-cache-metrics"),
        *("kv-cache-metrics-sample", "cudagraph-metrics", "enable-mfu-metrics"),
        *("enable-logging-iteration-details", "custom-histogram-buckets"),
        *("max-num-queued-reqs", "max-num-queued-tokens", "long-prefill-token-threshold"),
        *("scheduling-policy", "stream-interval", "kv-cache-memory-bytes"),
        *("num-gpu-blocks-override", "prefix-caching-hash-algo", "kv-events-config"),
        *("max-logprobs", "logprobs-mode", "generation-config", "override-generation-config"),
        *("reasoning-parser", "reasoning-parser-plugin", "structured-outputs-config"),
        *("mm-processor-cache-gb", "mm-processor-cache-type", "media-io-kwargs"),
        "mm-shm-cache-max-object-size-mb",
    }
)
"""Flags of `vllm serve` without an effect on weights; tests/engine builds a model with each."""
NO_EFFECT = SERVING_FLAGS | OTHER_FLAGS

_REFUSED: Mapping[str, str] = {
    "load-format": f"with preload it is {LOAD_FORMAT}, and the weights are loaded as by default",
    "model-loader-extra-config": "with preload it says where the weights are",
    "config": "what is in that file is not known here: write its flags into this table",
    "nnodes": "weights are kept on one host: a model over several is not supported",
    "data-parallel-size": "a model that is loaded several times is not supported",
    "data-parallel-size-local": "a model that is loaded several times is not supported",
    "enable-sleep-mode": "an engine that sleeps gives up memory that is not its own",
    "cpu-offload-gb": "weights in the host's memory are not kept in GPU memory",
    "spec-method": "write speculative-config, with its method",
}
"""Source of sleep mode: the docstring of `IpcModelLoader` in ipc_loader.py."""
_HARMLESS = {"nnodes": 1, "data-parallel-size": 1, "data-parallel-size-local": 1}

UNSUPPORTED_QUANTIZATION = frozenset(
    {
        *("awq", "awq_marlin", "gptq", "gptq_marlin", "bitsandbytes", "gguf", "torchao"),
        *("compressed-tensors", "experts_int8", "moe_wna16", "quark", "fp_quant", "fbgemm_fp8"),
        *("modelopt", "auto-round", "inc", "int8_per_channel_weight_only", "fp8_per_tensor"),
        *("fp8_per_block", "online"),
    }
)
"""Methods without `supports_pre_processed_weights`: vLLM ends with UnsupportedQuantForIPCError.

Source: vllm/model_executor/layers/quantization of 0.32. One that is not listed is tried."""


@attrs.frozen
class PreloadProblem:
    """Why an engine cannot have `preload`, or should not: the key, a sentence, what to do."""

    key: tuple[str, ...]
    message: str
    fix: str


def problems(engine: "EngineConfig") -> Iterator[PreloadProblem]:
    """Yield why weights of an engine cannot be kept in memory, as its configuration has it."""
    if not engine.preload:
        return
    for flag, why in _REFUSED.items():
        value = engine.flags.get(flag)
        if value not in (None, False, 0, _HARMLESS.get(flag)):
            fix = "take it out, or set preload = false"
            yield PreloadProblem(("flags", flag), f"does not go with preload: {why}", fix)
    if engine.quantization in UNSUPPORTED_QUANTIZATION:
        yield PreloadProblem(
            ("quantization",),
            f"weights that are quantized by {engine.quantization!r} cannot be handed to an engine",
            "set preload = false; vLLM 0.32 hands over unquantized weights, fp8, mxfp4 and NVFP4",
        )
    speculative = any(name.partition(".")[0] == SPECULATIVE for name in engine.flags)
    if speculative and _speculative_method(engine) is None:
        yield PreloadProblem(
            ("flags", SPECULATIVE),
            "names no method, and by it the draft's weights are kept or not",
            'write it: { method = "eagle3", … }',
        )


def ranks(engine: "EngineConfig") -> int:
    """Return how many sockets the weights of an engine are handed out by: one for each GPU.

    A draft that is kept too has its own. Source: `expected_ready` in preload.py.
    """
    method = _speculative_method(engine) or ""
    drafts = 1 if method in DRAFT_METHODS or method.endswith("_mtp") else 0
    return gpus_used(engine) * (1 + drafts)


def _speculative_method(engine: "EngineConfig") -> str | None:
    method = _speculative(engine).get("method")
    return method if isinstance(method, str) else None


def _speculative(engine: "EngineConfig") -> Mapping[str, Any]:
    """Return the table of speculative decoding: a table, JSON, or flags with a dot."""
    given = engine.flags.get(SPECULATIVE)
    if isinstance(given, str):
        try:
            given = parse_json(given)
        except ValueError:
            given = None
    found = dict(given) if isinstance(given, dict) else {}
    for name, value in engine.flags.items():
        table, dot, key = name.partition(".")
        if table == SPECULATIVE and dot:
            found[key] = value
    return found


def draft_model(engine: "EngineConfig") -> str | None:
    """Return the draft whose weights are kept too, a name or a folder; None if there is none."""
    model = _speculative(engine).get("model")
    return model if isinstance(model, str) and ranks(engine) > gpus_used(engine) else None


def socket_path_bytes(folder: Path) -> int:
    """Return how long the longest path of a socket in a folder of weights is, in bytes."""
    return len(os.fsencode(folder)) + 1 + MAX_SOCKET_NAME


def arguments(engine: "EngineConfig", folder: Path) -> list[str]:
    """Build the arguments of `vllm preload`, which hands the weights out in `folder`.

    They are those of the engine, but for what is known to leave the weights as they are.
    """
    args = ["preload", "--model", engine.model]
    for flag, value in (
        ("quantization", engine.quantization),
        ("max-model-len", engine.max_model_len),  # the size of a rotary embedding's buffer
    ):
        if value is not None:
            args += written(flag, value)
    if engine.lora is not None:
        args += ["--enable-lora", "--max-loras", str(engine.lora.max_loras)]
        args += ["--max-lora-rank", str(engine.lora.max_lora_rank)]
    for flag, value in engine.flags.items():
        if flag not in NO_EFFECT:
            args += written(flag, value)
    return [*args, "--weight-cache-socket-dir", str(folder)]


def engine_arguments(folder: Path) -> list[str]:
    """Return the arguments by which an engine maps the weights that are handed out in `folder`.

    Where nobody hands them out it loads from the disk, as without them: vLLM's own fallback.
    """
    where = {"socket_dir": str(folder)}
    return ["--load-format", LOAD_FORMAT, *written("model-loader-extra-config", where)]


def without(argv: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return the command of an engine that maps no weights: it loads them from the disk."""
    added = engine_arguments(folder)
    return tuple(argv[: -len(added)] if list(argv[-len(added) :]) == added else argv)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of what keeps weights, by that of the engine."""
    return {name: value for name, value in env.items() if not NOT_FOR_WEIGHTS.fullmatch(name)}


def own_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an engine with which its weights may be others."""
    kept = environment(own)
    return {name: value for name, value in kept.items() if not _SAME_WEIGHTS.fullmatch(name)}
