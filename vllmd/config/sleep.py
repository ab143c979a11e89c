"""`[engines.NAME.sleep]`: when an engine gives its GPU memory back, and when it is woken.

What vLLM needs for that, by its source (0.32): `--enable-sleep-mode`, and for the routes `/sleep`,
`/wake_up` and `/is_sleeping` the variable `VLLM_SERVER_DEV_MODE=1`
(`register_api_routers` in entrypoints/launchers/api_server/routers.py), which opens others too.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from vllmd.config import rules
from vllmd.config.lora import LOOPBACK
from vllmd.config.problem import TableProblem
from vllmd.config.rules import key
from vllmd.config.schedule import Schedule, schedule
from vllmd.util.units import DAY_S

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

FLAG = "enable-sleep-mode"
DEV_MODE = "VLLM_SERVER_DEV_MODE"
DEV_ROUTES = (
    *("/sleep", "/wake_up", "/is_sleeping", "/release_kv_cache_memory"),
    *("/collective_rpc", "/server_info"),
    *("/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache"),
    *("/pause", "/resume", "/abort_requests", "/is_paused"),
    *("/init_weight_transfer_engine", "/shutdown_weight_transfer_engine"),
    *("/start_weight_update", "/start_draft_weight_update", "/finish_weight_update"),
    *("/update_weights", "/update_weight_version", "/weight_info", "/weight_checker"),
    "/get_world_size",
)
"""What the variable opens, without a key (`authenticate.py` guards `/v1`, `/v2`, `/inference`).

Source: vllm/entrypoints/serve/dev and vllm/entrypoints/rl/online/api_router.py of 0.32."""
DISCARD = 2
"""The level at which the weights are dropped, and read again from the model's files."""


@attrs.frozen
class SleepConfig:
    """When an engine sleeps: the table turns sleep mode on."""

    after_idle_s: float | None = key(
        rules.number(0, 30 * DAY_S, above=True),
        None,
        help="Put the engine to sleep when no request came for so long, in seconds. Nothing wakes "
        "it by itself but its schedule.",
        example="1800",
    )
    level: int = key(
        rules.integer(1, 2),
        1,
        help="1: the weights go to the host's memory. 2: they are dropped, and read from the "
        "model's files at the next wake; not with LoRA.",
        reason="A wake of level 1 takes seconds; it needs host memory for the weights.",
    )
    schedule: Schedule | None = key(
        schedule,
        None,
        help="When the engine is to be awake, in the host's time zone; at other times it sleeps. "
        "A command or a wake in between holds until the schedule's next change.",
        example='"Mon-Fri 07:00-19:00"',
    )
    share: str | None = key(
        rules.matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", "a name, such as gpu0"),
        None,
        help="A name that engines have in common of which one is awake at a time: to wake one puts "
        "the others to sleep first.",
        example='"gpu0"',
    )
    restart: bool = key(
        rules.boolean,
        True,
        help="Start an engine that ended while it slept, and put it to sleep again; false: it is "
        "told, and started when it is woken.",
        reason="A wake then takes seconds and no load.",
    )
    http_wake: bool = key(
        rules.boolean,
        False,
        help="Wake it by POST /wake/NAME at the exporter's port, too; only with a user or a client "
        "certificate of daemon.web_config_file.",
        reason="A port that measures changes nothing, unless somebody wants it to.",
    )
    expose_dev_mode: bool = key(
        rules.boolean,
        False,
        help="Allow a host that others reach, although sleep mode opens vLLM's development routes "
        "there, by which anybody can run code in the engine.",
        reason="They need no API key.",
    )


def arguments(engine: "EngineConfig") -> list[str]:
    """Return the flags of an engine that is to sleep."""
    return [f"--{FLAG}"] if engine.sleep is not None and FLAG not in engine.flags else []


def variables(engine: "EngineConfig") -> dict[str, str]:
    """Return the variables of an engine that is to sleep."""
    return {DEV_MODE: "1"} if engine.sleep is not None else {}


def problems(engines: Mapping[str, "EngineConfig"], *, web_config: bool) -> Iterator[TableProblem]:
    """Yield what is wrong with the tables; `web_config` if the exporter's port has a file of its
    own that says who may use it."""
    for name, engine in engines.items():
        for problem in (*_of_one(engine, web_config=web_config), *_of_share(engine, engines)):
            yield attrs.evolve(problem, key=("engines", name, *problem.key))


def _of_one(engine: "EngineConfig", *, web_config: bool) -> Iterator[TableProblem]:
    sleep = engine.sleep
    if sleep is None:
        return
    if engine.host not in LOOPBACK and not sleep.expose_dev_mode:
        yield TableProblem(
            ("host",),
            f"{engine.host!r} is reached by others, and sleep mode opens vLLM's development routes "
            "there: /collective_rpc runs code in the engine, and needs no key",
            'set host = "127.0.0.1", or sleep.expose_dev_mode = true where a firewall keeps others '
            "away",
        )
    if engine.preload:
        yield TableProblem(
            ("preload",),
            "does not go with sleep: an engine that sleeps gives up memory that is not its own",
            "set preload = false, or take the table sleep out",
        )
    if engine.lora is not None and sleep.level == DISCARD:
        yield TableProblem(
            ("sleep", "level"),
            f"{DISCARD} drops the weights, and vLLM does not bring adapters back at a wake",
            "set it to 1, or take the adapters out",
        )
    if engine.flags.get(FLAG) is False:
        fix = "take it out: the table sleep sets the flag"
        yield TableProblem(("flags", FLAG), "false does not go with the table sleep", fix)
    if engine.env.get(DEV_MODE, "1") != "1":
        fix = "take it out: the table sleep sets it to 1"
        message = f"{engine.env[DEV_MODE]!r} closes the routes by which an engine sleeps"
        yield TableProblem(("env", DEV_MODE), message, fix)
    if sleep.http_wake and not web_config:
        yield TableProblem(
            ("sleep", "http_wake"),
            "needs users or client certificates, and daemon.web_config_file is not set: every "
            "POST /wake is refused",
            "set daemon.web_config_file, or http_wake = false",
        )


def _of_share(
    engine: "EngineConfig", engines: Mapping[str, "EngineConfig"]
) -> Iterator[TableProblem]:
    share = engine.sleep.share if engine.sleep else None
    if share is not None and len(members(share, engines)) == 1:
        yield TableProblem(
            ("sleep", "share"),
            f"{share!r} is of this engine alone: there is none to take turns with",
            "give the other engine the same name, or take the key out",
            is_error=False,
        )


def turns_with(engine: "EngineConfig", engines: Mapping[str, "EngineConfig"]) -> list[str]:
    """Return the other engines that it takes turns with on a GPU."""
    share = engine.sleep.share if engine.sleep else None
    return [name for name in members(share, engines) if name != engine.name] if share else []


def members(share: str, engines: Mapping[str, "EngineConfig"]) -> list[str]:
    """Return the engines that take turns by that name."""
    return [name for name, each in engines.items() if each.sleep and each.sleep.share == share]
