"""`[engines.NAME.lora]`: the adapters of an engine, and whether they may change while it serves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from vllmd.config import rules
from vllmd.config.group import DP_SIZE, sizes
from vllmd.config.rules import RuleError, key, text
from vllmd.util.units import HOUR_S

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

RUNTIME_UPDATING = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
RUST_FRONTEND = "VLLM_USE_RUST_FRONTEND"
RESOLVERS = ("VLLM_LORA_RESOLVER_CACHE_DIR", "VLLM_LORA_RESOLVER_HF_REPO_LIST")
"""Variables by which vLLM itself loads adapters as requests name them."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM has kernels for. Source: `LoRAConfig.max_lora_rank`."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def lora_modules(value: Any) -> Mapping[str, str]:
    """Accept a table of adapters: name to folder or hub name."""
    if not isinstance(value, dict):
        raise RuleError('a table of adapters, such as { sql = "/srv/lora/sql" }')
    for name, path in value.items():
        if problem := name_problem(name):
            raise RuleError(f"{problem}; got {name!r}")
        try:
            text(path)
        except RuleError:
            raise RuleError(f"a folder for each adapter; {name} is {path!r}") from None
    return MappingProxyType(dict(value))


def name_problem(name: str) -> str | None:
    """Say what an adapter's name must be like, if `name` is not."""
    if not name or "=" in name or "," in name or name != name.strip() or not name.isprintable():
        return "adapter names without commas, =, control characters and outer spaces"
    return None


def _rank(value: Any) -> int:
    if isinstance(value, bool) or value not in RANKS:
        raise RuleError("")
    return int(value)


def _unlisted(value: Any) -> str:
    if value not in ("unload", "keep"):
        raise RuleError('"unload" or "keep"')
    return str(value)


@attrs.frozen
class LoraConfig:
    """LoRA adapters that an engine serves beside its base model."""

    max_loras: int = key(
        rules.integer(1, 1024), 1, help="Adapters that one batch may mix (--max-loras)."
    )
    max_lora_rank: int = key(
        rules.either(f"one of {', '.join(map(str, RANKS))} (what vLLM has kernels for)", _rank),
        16,
        help="Highest rank of any adapter (--max-lora-rank). One above it is refused.",
    )
    modules: Mapping[str, str] = key(
        lora_modules,
        _EMPTY,
        help="Adapters by the name that requests give as `model`, and their folders.",
        example='{ sql = "/srv/lora/sql" }',
    )
    directory: str | None = key(
        rules.absolute_path,
        None,
        help="A folder whose complete adapter folders are served under their names: what is put "
        "there is loaded, what is taken away is unloaded.",
        example='"/srv/lora"',
    )
    dynamic: bool | None = key(
        rules.boolean,
        None,
        help="Load and unload adapters while the engine serves (VLLM_ALLOW_RUNTIME_LORA_UPDATING). "
        "By default on, unless vLLM cannot: with more than one API server.",
        example="true",
    )
    unlisted: str | None = key(
        _unlisted,
        None,
        help='What happens to an adapter that another client loaded: "unload" or "keep". Where '
        "this is not given, it is unloaded, unless vLLM itself is configured to find adapters (a "
        "resolver).",
        example='"unload"',
    )
    check_s: float = key(
        rules.number(0, HOUR_S, above=True),
        10.0,
        help="How often the folder is looked at and the engine is asked what it has, in seconds.",
        reason="A request to /v1/models and a listing: a millisecond, six times a minute.",
    )


def dynamic(engine: "EngineConfig") -> bool:
    """Tell whether adapters may change while the engine serves."""
    if engine.lora is None:
        return False
    asked = engine.lora.dynamic
    return dynamic_problem(engine) is None if asked is None else asked


def dynamic_problem(engine: "EngineConfig") -> str | None:
    """Say why adapters could not change while the engine serves; None if they could.

    Source: `run_multi_api_server` in vLLM refuses to start; the default number of API servers is
    that of the data-parallel ranks here.
    """
    servers = api_servers(engine)
    if servers > 1:
        return f"there are {servers} API servers, and vLLM changes adapters with one only"
    if engine.env.get(RUST_FRONTEND, "0") not in ("", "0"):
        return f"with {RUST_FRONTEND} vLLM cannot change adapters"
    if engine.env.get(RUNTIME_UPDATING, "1").strip().lower() not in ("1", "true"):
        return f"env.{RUNTIME_UPDATING} is {engine.env[RUNTIME_UPDATING]!r}"
    return None


def api_servers(engine: "EngineConfig") -> int:
    """Return how many API servers the engine has."""
    flags = engine.flags
    ranks = flags.get("data-parallel-size-local", flags.get("data-parallel-size", 1))
    if engine.group is not None:  # the head has one for each rank of all hosts
        ranks = sizes(engine.group).get(DP_SIZE, 1)
    servers = flags.get("api-server-count", ranks)
    return servers if isinstance(servers, int) and servers > 0 else 1


def open_to_all(engine: "EngineConfig") -> bool:
    """Tell whether others than this host's users reach the API, and need no key."""
    return engine.host not in LOOPBACK and not engine.env.get("VLLM_API_KEY")


def unloads_unlisted(engine: "EngineConfig") -> bool:
    """Tell whether adapters that somebody else loaded are to be unloaded."""
    if engine.lora is None or engine.lora.unlisted is not None:
        return engine.lora is not None and engine.lora.unlisted == "unload"
    return not any(engine.env.get(name) for name in RESOLVERS)
