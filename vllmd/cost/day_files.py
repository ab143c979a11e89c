"""Usage on the disk: a small file for each day, written whole or not at all."""

import contextlib
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from vllmd import events
from vllmd.cost.usage import Slot, Usage, from_json, to_json
from vllmd.shim.record import read_record, write_record
from vllmd.util.units import DAY_S

FOLDER = "usage"
VERSION = 1

_log = structlog.get_logger()


def day_of(hour: int) -> str:
    """Return the day that an hour is in, in UTC, such as ``2026-01-31``."""
    return datetime.fromtimestamp(hour, UTC).strftime("%Y-%m-%d")


def merge(one: Mapping[Slot, Usage], other: Mapping[Slot, Usage]) -> dict[Slot, Usage]:
    """Return both, slots that are in both added."""
    merged = dict(one)
    for slot, usage in other.items():
        merged[slot] = merged.get(slot, Usage()) + usage
    return merged


class Book:
    """The files below one folder; a damaged one costs its day, and is kept and said."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self._folder = folder / FOLDER
        self._keep_s = keep_days * DAY_S
        self._said: str | None = None
        self._lock = threading.Lock()
        self._found: dict[str, dict[Slot, Usage]] = {}
        """What each day had before we first wrote to it."""

    def keep(self, days: int) -> None:
        """Keep so many days from now on."""
        self._keep_s = days * DAY_S

    def days(self) -> list[str]:
        """Return the days that there are, the oldest first."""
        return sorted(path.stem for path in self._folder.glob("????-??-??.json"))

    def read(self, since: float, until: float, new: Mapping[Slot, Usage]) -> dict[Slot, Usage]:
        """Return what was used in the days from `since` to `until`, in seconds since the epoch.

        `new` is what was given to `write`, and what will be.
        """
        first, last = day_of(int(since)), day_of(int(until))
        with self._lock:
            days = {*self.days(), *(day_of(slot.hour) for slot in new)}
            found: dict[Slot, Usage] = {}
            for day in days:
                if first <= day <= last:
                    kept = self._found.get(day)
                    found |= self.read_day(day)[0] if kept is None else kept
        return merge(found, {s: u for s, u in new.items() if first <= day_of(s.hour) <= last})

    def read_day(self, day: str) -> tuple[dict[Slot, Usage], Mapping[str, Any] | None]:
        """Return what was used in a day, and the state at its last look; None if there is none."""
        path = self._folder / f"{day}.json"
        if not path.exists():
            return {}, None
        record = read_record(str(path))
        try:
            if record is None:
                raise ValueError("it is truncated or no JSON object")
            return dict(from_json(row) for row in record["slots"]), record["state"]
        except (KeyError, ValueError, TypeError) as error:
            aside = path.with_suffix(".unreadable")
            with contextlib.suppress(OSError):  # it is replaced when the day is written
                os.replace(path, aside)
            _log.error(
                events.STATE_FILE_UNREADABLE,
                path=str(path),
                problem=repr(error),
                consequence=f"what was used in that day is not known; it is kept as {aside}",
            )
            return {}, None

    def write(self, slots: Mapping[Slot, Usage], state: Mapping[str, Any], now: float) -> None:
        """Add `slots`, all of those since we began or forgot, to their days; `state` is of now.

        A full disk is said once, and nothing is lost while the daemon runs.
        """
        by_day: dict[str, dict[Slot, Usage]] = {day_of(int(now)): {}}
        for slot, usage in slots.items():
            by_day.setdefault(day_of(slot.hour), {})[slot] = usage
        try:
            with self._lock:
                self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
                for day, used in sorted(by_day.items()):
                    self._write_day(day, used, state)
            self._said = None
        except OSError as error:
            if str(error) != self._said:
                _log.error(
                    events.STATE_FILE_NOT_WRITTEN,
                    path=str(self._folder),
                    problem=str(error),
                    consequence="usage since the last writing is lost if the daemon ends now",
                )
            self._said = str(error)

    def _write_day(self, day: str, used: Mapping[Slot, Usage], state: Mapping[str, Any]) -> None:
        if day not in self._found:
            self._found[day] = self.read_day(day)[0]
        rows = [to_json(slot, usage) for slot, usage in merge(self._found[day], used).items()]
        record = {"version": VERSION, "state": state, "slots": rows}
        write_record(str(self._folder / f"{day}.json"), record)

    def forget_before(self, hour: int) -> None:
        """Take the days before that of an hour for written: what comes for them is added."""
        with self._lock:
            first = day_of(hour)
            self._found = {day: used for day, used in self._found.items() if day >= first}

    def prune(self, now: float) -> None:
        """Remove the days that are too old, and never more than there are beyond those to be kept.

        So a clock that is a year ahead for a minute removes one day at most.
        """
        oldest, days = day_of(int(now - self._keep_s)), self.days()
        beyond = max(0, len(days) - int(self._keep_s // DAY_S))
        for day in days[:beyond]:
            if day < oldest:
                (self._folder / f"{day}.json").unlink(missing_ok=True)
