"""Is an engine to sleep or to be awake now? Pure: times are seconds since the epoch."""

from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.config.sleep import SleepConfig

SCHEDULE, IDLE, START = "schedule", "idle", "start"
RETRY_S = 300.0
"""An engine that was busy past its drain is asked again after so long."""


@attrs.frozen
class Wish:
    """What somebody, or something, wants of an engine."""

    asleep: bool
    by: str
    """A user, an engine, `SCHEDULE`, `IDLE`, or `START`."""
    at: float
    level: int | None = None
    """None: as the configuration has it."""
    once: bool = False
    """Whether it is given up when it cannot be, and not tried again."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written down."""
        return attrs.asdict(self)


def from_json(record: Mapping[str, Any]) -> Wish:
    """Read what `to_json` wrote. Raises: KeyError, ValueError, TypeError: it is something else."""
    level = record["level"]
    return Wish(
        bool(record["asleep"]),
        str(record["by"]),
        float(record["at"]),
        None if level is None else int(level),
        bool(record["once"]),
    )


def turn_of(engine: str) -> str:
    """Return by whom another engine is put to sleep when it is to be this one's turn."""
    return f"the turn of {engine}"


def is_turn(wish: Wish) -> bool:
    """Tell whether it is wanted for another engine's turn."""
    return wish.by.startswith(turn_of(""))


def is_overruled(config: SleepConfig, said: Wish, now: float) -> bool:
    """Tell whether the schedule has changed since something was said: that counts no more."""
    changed_at = config.schedule.changed_at(now) if config.schedule is not None else None
    return changed_at is not None and said.at < changed_at


def wanted(config: SleepConfig, said: Wish | None, idle_s: float | None, now: float) -> Wish | None:
    """Return what is wanted now: the newest of what was said and of what the schedule changed.

    An engine that is wanted awake and had no request for `idle_s` seconds is wanted asleep.

    Returns: None if nobody wants anything: it stays as it is.
    """
    found = said
    if config.schedule is not None:
        since = config.schedule.changed_at(now) or 0.0
        if said is None or is_overruled(config, said, now):
            found = Wish(not config.schedule.is_on(now), SCHEDULE, since)
    idle = config.after_idle_s is not None and idle_s is not None and idle_s >= config.after_idle_s
    if idle and (found is None or not found.asleep):
        return Wish(True, IDLE, now)
    return found


def is_to_change(wish: Wish | None, *, asleep_since: float | None, ours: bool) -> bool:
    """Tell whether an engine that serves, or sleeps since a time, is not as it is wanted.

    One that `ours` is not, that somebody else put to sleep, is woken by a newer wish alone.
    """
    if wish is None:
        return False
    if asleep_since is None:
        return wish.asleep
    return not wish.asleep and (ours or wish.at > asleep_since)
