"""What was seen on the disk: a file for each day, whole or not at all.

Each says too how far engines were counted, so that the next daemon counts nothing twice. A damaged
file costs its day.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vllmd.advise.observed import Observed, from_json
from vllmd.advise.observer import Slot
from vllmd.errors import VllmdError
from vllmd.util.days import day_of, days_in, remove_old
from vllmd.util.state_file import NotRead, StateFile
from vllmd.util.units import DAY_S

FOLDER = "advise"

Sums = dict[Slot, Observed]


def merge(one: Mapping[Slot, Observed], later: Mapping[Slot, Observed]) -> Sums:
    """Return both; what is in both is added."""
    merged = dict(one)
    for slot, seen in later.items():
        merged[slot] = merged[slot] + seen if slot in merged else seen
    return merged


class ObservedDays:
    """The files below one folder. What a disk refuses is written the next time."""

    def __init__(self, state_dir: Path, keep_days: int) -> None:
        self._folder = state_dir / FOLDER
        self._keep_days = keep_days
        self._lock = threading.Lock()
        """Held while the disk is waited for; never by who adds."""
        self._adding = threading.Lock()
        self._added: Sums = {}
        """What is still to be written."""
        self._marks: Mapping[str, Any] = {}
        self._kept: dict[str, tuple[StateFile, Sums]] = {}
        """The days that were written to."""

    def keep(self, days: int) -> None:
        """Keep so many days from now on."""
        self._keep_days = days

    def days(self) -> list[str]:
        """Return the days that there are, the oldest first."""
        return days_in(self._folder)

    def last(self) -> tuple[Mapping[str, Any], float] | NotRead | None:
        """Return how far engines were counted, and when (epoch seconds); None if nobody knows."""
        for day in reversed(self.days()):
            found = self._file(day).read(_last_of)
            if found is not None:
                return found
        return None

    def read(self, since: float, until: float) -> Sums:
        """Return what was seen in the days from `since` to `until` (seconds since the epoch).

        Raises: VllmdError: a day could not be read.
        """
        first, last = day_of(since), day_of(until)
        found: Sums = {}
        with self._lock:
            for day in sorted({*self.days(), *self._kept}):
                if first <= day <= last:
                    seen = self._kept[day][1] if day in self._kept else self._read(day)
                    if isinstance(seen, NotRead):
                        problem = f"what engines showed on {day} cannot be read: {seen.problem}"
                        raise VllmdError(f"{problem}; try again")
                    found |= seen
            with self._adding:
                added = {s: each for s, each in self._added.items() if first <= s.day <= last}
        return merge(found, added)

    def add(self, seen: Mapping[Slot, Observed], marks: Mapping[str, Any]) -> None:
        """Take what was seen since the last call; `write` writes it. Waits for no disk.

        `marks` say how far engines are counted with it.
        """
        with self._adding:
            self._added, self._marks = merge(self._added, seen), marks

    @property
    def waiting(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._added)

    def write(self, now: float) -> None:
        """Write down what was added; for a day that cannot be read it waits until it can."""
        today = day_of(now)
        with self._lock:
            with self._adding:
                seen, self._added, marks = self._added, {}, self._marks
            for day in {slot.day for slot in seen} | {today}:
                of_day = {s: each for s, each in seen.items() if s.day == day}
                if day not in self._kept:
                    before = self._read(day)
                    if isinstance(before, NotRead):
                        with self._adding:
                            self._added = merge(of_day, self._added)
                        continue
                    self._kept[day] = self._file(day), before
                file, sums = self._kept[day]
                self._kept[day] = file, merge(sums, of_day)
            for day in sorted(self._kept):
                file, sums = self._kept[day]
                rows = [
                    {"engine": s.engine, "command": s.command, "observed": each.to_json()}
                    for s, each in sums.items()
                ]
                file.save({"at": now, "marks": marks, "rows": rows})
                if day < today and file.problem is None:
                    del self._kept[day]
        remove_old(self._folder, now, self._keep_days * DAY_S)

    def _file(self, day: str) -> StateFile:
        return StateFile(
            self._folder / f"{day}.json",
            if_unusable="what engines showed in that day is not known to 'vllmd advise'",
            if_not_written="what engines show is not known to 'vllmd advise' after a restart",
            sync=False,
        )

    def _read(self, day: str) -> Sums | NotRead:
        return self._file(day).read(lambda record: _sums(record, day)) or {}


def _last_of(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], float]:
    return dict(record["marks"]), float(record["at"])


def _sums(record: Mapping[str, Any], day: str) -> Sums:
    return {
        Slot(day, str(row["engine"]), str(row["command"])): from_json(row["observed"])
        for row in record["rows"]
    }
