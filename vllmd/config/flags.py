"""vLLM's own flags: the arguments of an engine."""

import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vllmd.config import group, lora, rules, sleep
from vllmd.config.lora import RUST_FRONTEND
from vllmd.config.rules import RuleError
from vllmd.util.redact import masked, secrets_in_value

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

OWN_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "model": "model",
        "served-model-name": "served_model_name",
        "host": "host",
        "port": "port",
        "quantization": "quantization",
        "gpu-memory-utilization": "gpu_memory_utilization",
        "max-model-len": "max_model_len",
        "max-num-seqs": "max_num_seqs",
        "enable-prefix-caching": "enable_prefix_caching",
        "shutdown-timeout": "drain_s",
        "enable-lora": "lora",
        "max-loras": "lora.max_loras",
        "max-lora-rank": "lora.max_lora_rank",
        "lora-modules": "lora.modules",
    }
)
"""Flags that have a key of their own, and that key."""

_REFUSED = {
    "api-key": "an argument can be read by every user of the host: write it to "
    "/etc/vllmd/credentials/api_key, or set env.VLLM_API_KEY",
    "ssl-keyfile-password": "an argument can be read by every user of the host: take the password "
    "off the key (openssl pkey -in KEY -out NEW) and let only group vllmd read it",
    "uds": "vllmd reaches the engine by host and port",
    "headless": "vllmd needs the engine's API server; of a model over several hosts the table "
    "[engines.NAME.group] says which host has it",
    "help": "it would end the engine at once",
    "version": "it would end the engine at once",
}

_HF_TOKEN = (
    "an argument can be read by every user of the host: write it to "
    "/etc/vllmd/credentials/hf_token, or set env.HF_TOKEN"
)
_FLAG = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*(\.[A-Za-z0-9_.-]+\+?)?")

_REPEATED = frozenset({"middleware"})
"""Take one value each time. Source: vLLM's cli_args.py, ``action = "append"``."""
ENDPOINT = group.TRACES
NO_STATS = "disable-log-stats"


def flag_table(value: Any) -> Mapping[str, Any]:
    """Accept a table of vLLM's flags; names are kept with dashes."""
    if not isinstance(value, dict):
        raise RuleError("a table of flags, such as { enforce-eager = true }")
    result = {}
    for name, setting in value.items():
        flag = name.strip().lstrip("-").replace("_", "-") if "." not in name else name
        if not _FLAG.fullmatch(flag):
            raise RuleError(f"names of flags without dashes in front; {name!r} is none")
        if flag in OWN_KEYS:
            raise RuleError(f"no {name!r}, which has a key of its own: {OWN_KEYS[flag]}")
        if flag in _REFUSED:
            raise RuleError(f"no {name!r}: {_REFUSED[flag]}")
        if flag == "hf-token" and setting is not True:
            raise RuleError(f"no {name!r}: {_HF_TOKEN}")
        if not isinstance(setting, str | int | float | bool | list | dict):
            raise RuleError(f"strings, numbers, true, false, lists and tables; not {setting!r}")
        result[flag] = setting
    if result.get(NO_STATS) is True and ENDPOINT in result:
        raise RuleError(
            "not disable-log-stats together with otlp-traces-endpoint: every request would fail"
        )
    return MappingProxyType(result)


def program(value: Any) -> tuple[str, ...]:
    """Accept a program and its leading arguments; they are flags of vLLM as those of the table."""
    words = rules.one_or_more_texts(value)
    for word, after in zip(words[1:], (*words[2:], ""), strict=False):
        flag, _, setting = word.removeprefix("--").partition("=")
        flag = flag.replace("_", "-")
        if word.startswith("--") and flag in _REFUSED:
            raise RuleError(f"no '--{flag}' among the arguments: {_REFUSED[flag]}")
        if word.startswith("--hf-token") and (setting or not after.startswith("-")):
            raise RuleError(f"no '--hf-token' among the arguments: {_HF_TOKEN}")
    return words


def traced(engine: "EngineConfig") -> bool:
    """Tell whether an engine is to send its spans to vllmd."""
    return traces_problem(engine) is None if engine.traces is None else engine.traces


def traces_problem(engine: "EngineConfig") -> str | None:
    """Say why an engine would not work if it were to send spans; None if it would.

    Source: `OutputProcessor.do_tracing` in vLLM asserts that there are statistics, and the server's
    loop ends with it; the frontend in Rust rejects the flag (vLLM #44757).
    """
    if ENDPOINT in engine.flags:
        return f"there is a {ENDPOINT} of your own among the flags"
    if engine.flags.get(NO_STATS) is True:
        return f"with {NO_STATS} every request of an engine that sends spans fails"
    if engine.env.get(RUST_FRONTEND, "0") not in ("", "0"):
        return f"with {RUST_FRONTEND} vLLM does not start when it is to send spans"
    return None


def arguments(engine: "EngineConfig", traces: str | None = None) -> list[str]:
    """Build the arguments of an engine, from `serve` on; `traces` is where spans are sent to.

    The model goes first; flags follow in the order of the configuration.
    """
    args = ["serve", engine.model, "--host", engine.host, "--port", str(engine.port)]
    if engine.served_model_name:
        args += ["--served-model-name", *engine.served_model_name]
    for flag, value in (
        ("quantization", engine.quantization),
        ("gpu-memory-utilization", engine.gpu_memory_utilization),
        ("max-model-len", engine.max_model_len),
        ("max-num-seqs", engine.max_num_seqs),
        ("enable-prefix-caching", engine.enable_prefix_caching),
        ("shutdown-timeout", math.ceil(engine.drain_s)),
    ):
        if value is not None:
            args += written(flag, value)
    if engine.lora is not None:
        args += ["--enable-lora", "--max-loras", str(engine.lora.max_loras)]
        args += ["--max-lora-rank", str(engine.lora.max_lora_rank)]
        if engine.lora.modules and not lora.dynamic(engine):
            args.append("--lora-modules")
            args += [_module(name, path) for name, path in engine.lora.modules.items()]
    args += sleep.arguments(engine)
    args += group.arguments(engine)
    if traces:
        args += written(ENDPOINT, traces)
    for flag, value in engine.flags.items():
        if not group.is_left_out(engine, flag):
            args += written(flag, value)
    return args


def _module(name: str, path: str) -> str:
    """Write an adapter as vLLM reads it.

    Source: `LoRAParserAction` in vLLM: ``name=path``, or JSON with these keys.
    """
    return json.dumps({"name": name, "path": path})


def written(name: str, value: Any) -> list[str]:
    """Return a flag and its value as words of a command line."""
    match value:
        case bool() | list() if "." in name:  # a part of a table, whose value vLLM reads as JSON
            return [f"--{name}", json.dumps(value)]
        case True:
            return [f"--{name}"]
        case False:
            return [f"--no-{name}"]
        case list() if name in _REPEATED:
            return [word for item in value for word in (f"--{name}", _scalar(item))]
        case list():
            return [f"--{name}", *(_scalar(item) for item in value)]
        case _:
            return [f"--{name}", _scalar(value)]


def _scalar(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)


def masked_arguments(args: list[str]) -> list[str]:
    """Return the arguments as they may be shown: without secrets, also those within a value."""
    shown = []
    flag = ""
    for arg in args:
        if arg.startswith("--"):
            flag, equals, value = arg.partition("=")
            shown.append(f"{flag}={masked(flag, value)}" if equals else arg)
        else:
            shown.append(masked(flag, arg))
    return shown


def secret_arguments(engine: "EngineConfig") -> list[tuple[str, ...]]:
    """Return the keys whose secret stands in the arguments: every user of the host reads it."""
    values: dict[tuple[str, ...], Any] = {
        ("model",): engine.model,
        ("served_model_name",): engine.served_model_name,
        ("executable",): " ".join(engine.executable),
    }
    if engine.lora is not None and not lora.dynamic(engine):
        for name, path in engine.lora.modules.items():
            values["lora", "modules", name] = path
    found = [key for key, value in values.items() if any(secrets_in_value("", value))]
    flags = [name for name, value in engine.flags.items() if any(secrets_in_value(name, value))]
    return found + [("flags", name) for name in flags]
