"""The environment of an engine: what it inherits of the daemon's, and what vllmd adds."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vllmd.config import group, lora, sleep
from vllmd.config.rules import RuleError
from vllmd.config.traces import ENGINE_ATTRIBUTE
from vllmd.util.redact import masked

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SCRUBBED = re.compile(
    r"TRACEPARENT|TRACESTATE|OTEL_.*|CREDENTIALS_DIRECTORY|INVOCATION_ID|JOURNAL_STREAM"
    r"|(?is:VLLMD__.*)"
)
"""Variables that an engine must not inherit: a TRACEPARENT would become the parent of every
request (vLLM takes it for theirs), what is set for the daemon's own
spans is not for them, nor what systemd says to the daemon alone, nor the configuration of other
engines."""

_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"

_ALWAYS = MappingProxyType(
    {
        # a third of vLLM's families are `_created` gauges that nobody queries
        "PROMETHEUS_DISABLE_CREATED_SERIES": "true",
        "PYTHONUNBUFFERED": "1",
    }
)


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


def build(
    engine: "EngineConfig", inherited: Mapping[str, str], traces: str | None = None
) -> dict[str, str]:
    """Build the environment of an engine: the daemon's, less what would do harm, plus its own."""
    kept = {name: value for name, value in inherited.items() if not _SCRUBBED.fullmatch(name)}
    env = {**kept, **own_variables(engine, traces)}
    if traces:  # exporters obey proxies, also on the way to this host
        names = [name for name in ("no_proxy", "NO_PROXY") if name in env] or ["NO_PROXY"]
        for name in names:
            env[name] = ",".join([part for part in (env.get(name),) if part] + list(lora.LOOPBACK))
    return env


def own_variables(engine: "EngineConfig", traces: str | None = None) -> dict[str, str]:
    """Return the variables that vllmd itself sets for an engine."""
    adapters = {lora.RUNTIME_UPDATING: "1"} if lora.dynamic(engine) else {}
    own = {**adapters, **sleep.variables(engine), **group.variables(engine)}
    own |= _tracing(engine.name) if traces else {}
    env = {**_ALWAYS, **own, **engine.env}
    if traces:
        named = f"{ENGINE_ATTRIBUTE}={engine.name}"
        env[_RESOURCE] = ",".join(part for part in (engine.env.get(_RESOURCE), named) if part)
    return env


def _tracing(name: str) -> dict[str, str]:
    """Return what OpenTelemetry is told in an engine. Source: vLLM reads the protocol only so."""
    return {
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": f"vllm-{name}",
        # a client's "do not sample" would hide its requests
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
    }
