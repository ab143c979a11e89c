"""vLLM's own flags: the exact command and environment of an engine."""

import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vllmd.config.rules import RuleError, text
from vllmd.redact import MASK

if TYPE_CHECKING:
    from vllmd.config.model import Engine

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
    "api-key": "an argument can be read by every user of the host: set env.VLLM_API_KEY instead",
    "uds": "vllmd reaches the engine by host and port",
    "headless": "vllmd needs the engine's API server",
    "help": "it would end the engine at once",
    "version": "it would end the engine at once",
}

_SECRET = re.compile(r"(?i)(^|[^a-z])(api[_-]?key|keys?|token|secrets?|passw(or)?d|credentials?)$")
_FLAG = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*(\.[A-Za-z0-9_.-]+)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SCRUBBED = frozenset({"TRACEPARENT", "TRACESTATE"})
"""Variables that an engine must not inherit: a TRACEPARENT would become the parent of every
request (vLLM takes it for theirs)."""

_ALWAYS = MappingProxyType(
    {
        # a third of vLLM's families are `_created` gauges that nobody queries
        "PROMETHEUS_DISABLE_CREATED_SERIES": "true",
        "PYTHONUNBUFFERED": "1",
    }
)


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
        if not isinstance(setting, str | int | float | bool | list | dict):
            raise RuleError(f"strings, numbers, true, false, lists and tables; not {setting!r}")
        result[flag] = setting
    if result.get("disable-log-stats") is True and "otlp-traces-endpoint" in result:
        raise RuleError(
            "not disable-log-stats together with otlp-traces-endpoint: every request would fail"
        )
    return MappingProxyType(result)


def env_table(value: Any) -> Mapping[str, str]:
    """Accept a table of environment variables."""
    if not isinstance(value, dict):
        raise RuleError('a table of variables, such as { HF_HOME = "/srv/hf" }')
    result = {}
    for name, setting in value.items():
        if not _VARIABLE.fullmatch(name):
            raise RuleError(f"names of variables (letters, digits, _); {name!r} is none")
        if isinstance(setting, bool) or not isinstance(setting, str | int | float):
            raise RuleError(f"strings and numbers; {name} is {masked(name, setting)!r}")
        if isinstance(setting, str) and "\0" in setting:
            raise RuleError(f"values without NUL characters; {name} has one")
        result[name] = str(setting)
    return MappingProxyType(result)


def lora_modules(value: Any) -> Mapping[str, str]:
    """Accept a table of adapters: name to folder or hub name."""
    if not isinstance(value, dict):
        raise RuleError('a table of adapters, such as { sql = "/srv/lora/sql" }')
    for name, path in value.items():
        if not name or "=" in name or "," in name or name != name.strip():
            raise RuleError(f"adapter names without commas, = and outer spaces; got {name!r}")
        try:
            text(path)
        except RuleError:
            raise RuleError(f"a folder for each adapter; {name} is {path!r}") from None
    return MappingProxyType(dict(value))


def is_secret(name: str) -> bool:
    """Tell whether a variable or flag of that name holds a secret."""
    return bool(_SECRET.search(name))


def masked(name: str, value: Any) -> Any:
    """Return `value`, or a mask in its place if `name` is that of a secret."""
    return MASK if is_secret(name) else value


def arguments(engine: "Engine") -> list[str]:
    """Build the arguments of an engine, from `serve` on.

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
            args += _flag(flag, value)
    if engine.lora is not None:
        args += ["--enable-lora", "--max-loras", str(engine.lora.max_loras)]
        args += ["--max-lora-rank", str(engine.lora.max_lora_rank)]
        if engine.lora.modules:
            args.append("--lora-modules")
            args += [_module(name, path) for name, path in engine.lora.modules.items()]
    for flag, value in engine.flags.items():
        args += _flag(flag, value)
    return args


def _module(name: str, path: str) -> str:
    """Write an adapter as vLLM reads it.

    Source: `LoRAParserAction` in vLLM: ``name=path``, or JSON with these keys.
    """
    return json.dumps({"name": name, "path": path})


def _flag(name: str, value: Any) -> list[str]:
    match value:
        case True:
            return [f"--{name}"]
        case False:
            return [f"--no-{name}"]
        case list():
            return [f"--{name}", *(_scalar(item) for item in value)]
        case _:
            return [f"--{name}", _scalar(value)]


def _scalar(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)


def environment(engine: "Engine", inherited: Mapping[str, str]) -> dict[str, str]:
    """Build the environment of an engine: the daemon's, less what would do harm, plus its own."""
    kept = {name: value for name, value in inherited.items() if name not in _SCRUBBED}
    return {**kept, **own_environment(engine)}


def own_environment(engine: "Engine") -> dict[str, str]:
    """Return the variables that vllmd itself sets for an engine."""
    return {**_ALWAYS, **engine.env}


def masked_arguments(args: list[str]) -> list[str]:
    """Return the arguments as they may be shown: the values of secret flags masked."""
    shown = []
    hide = False
    for arg in args:
        if arg.startswith("--"):
            name, equals, _ = arg.partition("=")
            secret = is_secret(name)
            shown.append(f"{name}={MASK}" if secret and equals else arg)
            hide = secret and not equals
        else:
            shown.append(MASK if hide else arg)
    return shown
