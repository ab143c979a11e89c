"""Faults of several replicas."""

from collections.abc import Callable

from tests.timelines.signals import Alike, Fault, Signal, gauge, shaped

FLEET = {"fleet": "prod", "model": "m"}
LEAST = gauge("vllmd_fleet_min_ready", 1, 1, fleet="prod")


def replica(
    name: str, up: Callable[[int], float], wanted: float = 1, **more: str
) -> tuple[Signal, ...]:
    """Return the series of one; `up` is by the minutes that something has been wrong."""
    about = {**FLEET, "version": "0.32.0", "command_hash": "a", **more}
    return (
        gauge("vllmd_engine_info", 1, 1, vllmd_engine=name, **about),
        gauge("vllmd_engine_wanted", 1, wanted, vllmd_engine=name),
        shaped("vllmd_engine_up", up, vllmd_engine=name),
        shaped("vllmd_engine_state", up, vllmd_engine=name, state="ready"),
        shaped("vllmd_engine_state", lambda m: 1 - up(m), vllmd_engine=name, state="loading"),
    )


def serves(_: int) -> float:
    return 1.0


def down(minutes: int) -> float:
    return 0.0 if minutes else 1.0


def restarted(minutes: int) -> float:
    return 0.0 if 0 < minutes <= 4 else 1.0


def restarted_next(minutes: int) -> float:
    return 0.0 if 5 < minutes <= 9 else 1.0


OLD = gauge(
    "vllmd_engine_info",
    1,
    None,
    **{"vllmd_engine": "two", **FLEET, "version": "0.32.0", "command_hash": "a"},
)
NEW = gauge(
    "vllmd_engine_info",
    None,
    1,
    **{"vllmd_engine": "two", **FLEET, "version": "0.33.0", "command_hash": "a"},
)

FAULTS = (
    Fault(
        "VllmdReplicasNone",
        "both replicas are down",
        [*replica("one", down), *replica("two", down)],
        Alike(
            "one after the other is restarted",
            [*replica("one", restarted), *replica("two", restarted_next)],
        ),
        gaps=False,
    ),
    Fault(
        "VllmdReplicasLow",
        "both replicas are down, and one is to be ready",
        [*replica("one", down), *replica("two", down), LEAST],
        Alike(
            "one after the other is restarted",
            [*replica("one", restarted), *replica("two", restarted_next), LEAST],
        ),
    ),
    Fault(
        "VllmdVersionsDiffer",
        "one of two runs another version",
        [*replica("one", serves), OLD, NEW],
        Alike(
            "two engines of one host have commands of their own",
            [*replica("one", serves), *replica("two", serves, command_hash="b")],
        ),
        lasts=180,
        after=120,
    ),
)
