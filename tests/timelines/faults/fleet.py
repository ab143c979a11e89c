"""Faults of several replicas; each fault has a fleet of its own."""

from tests.timelines.signals import Alike, Fault, Signal, Values, gauge, shaped


def replica(fleet: str, up: Values, name: str | None = None, **more: str) -> tuple[Signal, ...]:
    """Return the series of one; `up` is by the minutes that something has been wrong.

    One without a name is of another host: it stays as it is when engines here are renamed.
    """
    engine = {} if name is None else {"vllmd_engine": name}
    about = {"fleet": fleet, "model": "m", "version": "0.32.0", "command_hash": "a", **more}
    return (
        gauge("vllmd_engine_info", 1, 1, **engine, **about),
        gauge("vllmd_engine_wanted", 1, 1, **engine),
        shaped("vllmd_engine_up", up, **engine),
        shaped("vllmd_engine_state", up, **engine, state="ready"),
        shaped("vllmd_engine_state", lambda m: 1 - (up(m) or 0), **engine, state="loading"),
    )


def serves(_: int) -> float:
    return 1.0


def down(minutes: int) -> float:
    return 0.0 if minutes else 1.0


def restarted(minutes: int) -> float:
    return 0.0 if 0 < minutes <= 4 else 1.0


def restarted_next(minutes: int) -> float:
    return 0.0 if 5 < minutes <= 9 else 1.0


GROUP = {"vllmd_engine": "big", "group": "big@gpu01"}


def part(state: Values, waits: Values, role: str = "head", **of: str) -> tuple[Signal, ...]:
    """Return one part of a group; `state` is whether it loads, `waits` whether for a host."""
    awaited = {**GROUP, "role": role, "host": "gpu02:9840", "state": "unreachable", **of}
    return (
        gauge("vllmd_engine_info", 1, 1, **GROUP, role=role, version="", fleet=""),
        gauge("vllmd_engine_wanted", 1, 1, vllmd_engine="big"),
        shaped("vllmd_engine_up", lambda m: 0 if state(m) or waits(m) else 1, vllmd_engine="big"),
        shaped("vllmd_engine_state", state, vllmd_engine="big", state="loading"),
        shaped("vllmd_engine_state", lambda m: waits(m) or 0, vllmd_engine="big", state="waiting"),
        shaped("vllmd_group_awaited_host_info", waits, **awaited),
    )


def never(_: int) -> float:
    return 0.0


def loads(minutes: int) -> float:
    return 1.0 if minutes else 0.0


def waits(minutes: int) -> float | None:
    return 1.0 if minutes else None


def waits_a_little(minutes: int) -> float | None:
    return 1.0 if 0 < minutes <= 4 else None


def nobody(_: int) -> None:
    return None


NONE, LOW, DIFFER = "none", "low", "differ"
LEAST = gauge("vllmd_fleet_min_ready", 2, 2, fleet=LOW)


def version(text: str, well: float | None, bad: float | None) -> Signal:
    about = {"fleet": DIFFER, "model": "m", "version": text, "command_hash": "a"}
    return gauge("vllmd_engine_info", well, bad, vllmd_engine="two", **about)


FAULTS = (
    Fault(
        "VllmdGroupIncomplete",
        "a host of the group is lost, and its head waits for it",
        part(never, waits),
        Alike("the head waits until a member has ended its part, and loads", part(loads, nobody)),
        lasts=25,
    ),
    Fault(
        "VllmdReplicasNone",
        "both replicas are down",
        [*replica(NONE, down, "one"), *replica(NONE, down, "two")],
        Alike(
            "one after the other is restarted",
            [*replica(NONE, restarted, "one"), *replica(NONE, restarted_next, "two")],
        ),
        lasts=25,
        gaps=False,
        flapping="each time they are restarts: VllmdEngineRestartLoop",
    ),
    Fault(
        "VllmdReplicasLow",
        "one of two is down, and two are to be ready",
        [*replica(LOW, serves), *replica(LOW, down, "two"), LEAST],
        Alike(
            "one after the other is restarted",
            [*replica(LOW, restarted), *replica(LOW, restarted_next, "two"), LEAST],
        ),
        lasts=25,
    ),
    Fault(
        "VllmdVersionsDiffer",
        "one of two runs another version",
        [*replica(DIFFER, serves), version("0.32.0", 1, None), version("0.33.0", None, 1)],
        Alike(
            "two engines of one host have commands of their own",
            [*replica(DIFFER, serves, "one"), *replica(DIFFER, serves, "two", command_hash="b")],
        ),
        lasts=180,
        after=120,
    ),
)
