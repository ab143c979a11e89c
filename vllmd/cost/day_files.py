"""Usage on the disk: a small file for each day, and one that says up to when it was counted.

Each is written whole or not at all, the latter first: a daemon that is killed between the two loses
a minute, and the next one counts nothing twice.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vllmd.cost.usage import HourUsage, Usage, from_json, to_json
from vllmd.errors import VllmdError
from vllmd.util.days import day_of, days_in, remove_old
from vllmd.util.state_file import NotRead, StateFile
from vllmd.util.units import DAY_S

FOLDER, STATE = "usage", "state.json"


def merge(
    one: Mapping[HourUsage, Usage], other: Mapping[HourUsage, Usage]
) -> dict[HourUsage, Usage]:
    """Return both, slots that are in both added."""
    merged = dict(one)
    for slot, usage in other.items():
        merged[slot] = merged.get(slot, Usage()) + usage
    return merged


class DayFiles:
    """The files below one folder; a damaged one costs its day."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self._folder = folder / FOLDER
        self._keep_s = keep_days * DAY_S
        self._lock = threading.Lock()
        self._files: dict[str, StateFile] = {}
        """Those of the days that were written to, which know what of them was said."""
        self._found: dict[str, dict[HourUsage, Usage]] = {}
        """What each day had before we first wrote to it."""
        self._written: dict[str, Mapping[HourUsage, Usage]] = {}
        """What of `slots` is in each day's file."""
        self._state = StateFile(
            self._folder / STATE,
            if_unusable="what was used since the last writing is not known",
            if_not_written="usage since the last writing is lost if the daemon ends now",
        )

    def keep(self, days: int) -> None:
        """Keep so many days from now on."""
        self._keep_s = days * DAY_S

    def days(self) -> list[str]:
        """Return the days that there are, the oldest first."""
        return days_in(self._folder)

    def read(
        self, since: float, until: float, new: Mapping[HourUsage, Usage]
    ) -> dict[HourUsage, Usage]:
        """Return what was used in the days from `since` to `until`, in seconds since the epoch.

        `new` is what was given to `write`, and what will be.

        Raises: VllmdError: a day could not be read.
        """
        first, last = day_of(int(since)), day_of(int(until))
        with self._lock:
            days = {*self.days(), *(day_of(slot.hour) for slot in new)}
            found: dict[HourUsage, Usage] = {}
            for day in days:
                if first <= day <= last:
                    kept = self._found.get(day)
                    found |= self._used_in(day) if kept is None else kept
        return merge(found, {s: u for s, u in new.items() if first <= day_of(s.hour) <= last})

    def _used_in(self, day: str) -> Mapping[HourUsage, Usage]:
        read = self.read_day(day)
        if isinstance(read, NotRead):
            raise VllmdError(f"the usage of {day} cannot be read: {read.problem}; try again")
        return read[0]

    def read_day(
        self, day: str
    ) -> tuple[dict[HourUsage, Usage], Mapping[str, Any] | None] | NotRead:
        """Return what was used in a day, and the state at its last look; None if there is none."""
        return self._file(day).read(_used_and_state) or ({}, None)

    def read_state(self, resume: Callable[[Mapping[str, Any]], None]) -> bool | NotRead:
        """Give `resume` the state at the last writing; tell whether there is one."""

        def parse(record: Mapping[str, Any]) -> bool:
            resume(record["state"])
            return True

        return self._state.read(parse) or False

    def _file(self, day: str) -> StateFile:
        return self._files.get(day) or StateFile(
            self._folder / f"{day}.json",
            if_unusable="what was used in that day is not known",
            if_not_written="usage since the last writing is lost if the daemon ends now",
        )

    def write(self, slots: Mapping[HourUsage, Usage], state: Mapping[str, Any], now: float) -> None:
        """Add `slots`, all of those since we began or forgot, to their days; `state` is of now.

        What a disk refuses is not lost while the daemon runs: `slots` has it at the next writing.
        """
        by_day: dict[str, dict[HourUsage, Usage]] = {day_of(int(now)): {}}
        by_day |= _by_day(slots)
        with self._lock:
            self._state.save({"state": state})
            for day, used in sorted(by_day.items()):
                self._write_day(day, used, state)

    def _write_day(
        self, day: str, used: Mapping[HourUsage, Usage], state: Mapping[str, Any]
    ) -> None:
        if day not in self._found:
            before = self.read_day(day)
            if isinstance(before, NotRead):
                return  # `slots` has it at the next writing
            self._found[day] = before[0]
        rows = [to_json(slot, usage) for slot, usage in merge(self._found[day], used).items()]
        self._files[day] = file = self._file(day)
        file.save({"state": state, "slots": rows})
        if file.problem is None:
            self._written[day] = used

    def have(self, slots: Mapping[HourUsage, Usage]) -> bool:
        """Tell whether all of these are written as they are; waits for no disk."""
        return all(self._written.get(day) == used for day, used in _by_day(slots).items())

    def forget_before(self, hour: int) -> None:
        """Take the days before that of an hour for written: what comes for them is added."""
        with self._lock:
            first = day_of(hour)
            for kept in (self._found, self._files, self._written):
                for day in [day for day in kept if day < first]:
                    del kept[day]

    def prune(self, now: float) -> None:
        """Remove the days that are too old."""
        remove_old(self._folder, now, self._keep_s)


def _by_day(slots: Mapping[HourUsage, Usage]) -> dict[str, dict[HourUsage, Usage]]:
    days: dict[str, dict[HourUsage, Usage]] = {}
    for slot, usage in slots.items():
        days.setdefault(day_of(slot.hour), {})[slot] = usage
    return days


def _used_and_state(record: Mapping[str, Any]) -> tuple[dict[HourUsage, Usage], Mapping[str, Any]]:
    return dict(from_json(row) for row in record["slots"]), record["state"]
