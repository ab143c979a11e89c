"""Adds up what engines show, by day and by the command that ran. Pure.

Moments are looked at with each page, what is counted once a minute, and before a run is left: an
engine counts itself, so nothing is missed between two looks. Of a run that began before anybody
looked, what it had counted until then belongs to no day, and is left out.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.advise.observed import Observed, from_json
from vllmd.advise.reading import EngineCounts, EngineMoment, read_counted, read_moment
from vllmd.scrape.page import Page
from vllmd.util.units import MINUTE_S

COUNT_S = MINUTE_S
MAX_STEP_S = MINUTE_S
"""A longer pause between two pages is one in which nobody looked."""
NEARLY_FULL = 0.9
"""The share of the KV cache from which waiting requests wait for it. Ours."""


@attrs.frozen
class Slot:
    """What a sum is of: one day (such as ``2026-01-31``, UTC), engine and command."""

    day: str
    engine: str
    command: str


@attrs.frozen
class ObservedRun:
    """What an engine's page is of."""

    engine: str
    run_id: str
    command: str
    """The fingerprint of its command."""
    began_s: float = 0.0
    """When the run began, in seconds since the epoch."""


@attrs.frozen
class GpuRoom:
    """How its GPUs stand, in bytes; None where nobody knows."""

    free: float | None = None
    """On the fullest of them."""
    margin: float | None = None
    """What a start would leave, on the one where that is least."""


@attrs.define
class _Engine:
    run: ObservedRun
    page: Page
    at: float
    """When its last page was read, monotonic."""
    counted_at: float


class Observer:
    """All engines; the days are the caller's."""

    def __init__(self, began_s: float) -> None:
        """Begin; `began_s` is now, in seconds since the epoch."""
        self._began_s = began_s
        self._watched: dict[str, _Engine] = {}
        self._marks: dict[str, tuple[str, EngineCounts]] = {}
        """By engine: its run, and how far that was counted."""
        self._sums: dict[Slot, Observed] = {}
        """What was seen since they were taken last."""

    def page(
        self, run: ObservedRun, page: Page, day: str, gpus: GpuRoom, *, probed: bool = False
    ) -> None:
        """Take an engine's page.

        `probed` if a probe was in flight since the last one: what was counted meanwhile, of others
        too, is left out.
        """
        before = self._watched.get(run.engine)
        if before is not None and before.run.run_id != run.run_id:
            self._count(before, day)
            before = None
        if probed:
            self._pass_over(run, page, before, day)
            return
        moment, passed_s = read_moment(page.families), 0.0
        if before is not None:
            passed_s = page.read_at - before.at
            passed_s = passed_s if 0 < passed_s <= MAX_STEP_S else 0.0
        if moment is not None:
            self._add(Slot(day, run.engine, run.command), _seen(moment, passed_s, gpus))
        counted_at = before.counted_at if before else page.read_at - COUNT_S
        watched = self._watched[run.engine] = _Engine(run, page, page.read_at, counted_at)
        if page.read_at - counted_at >= COUNT_S:
            self._count(watched, day)

    def _pass_over(self, run: ObservedRun, page: Page, before: _Engine | None, day: str) -> None:
        if before is not None and before.counted_at < before.at:
            self._count(before, day)
        self._marks[run.engine] = run.run_id, read_counted(page.families)
        self._watched[run.engine] = _Engine(run, page, page.read_at, page.read_at)

    def take(self, day: str) -> dict[Slot, Observed]:
        """Return what was seen since the last call, and forget it."""
        for watched in self._watched.values():
            if watched.counted_at < watched.at:  # else its last page is counted already
                self._count(watched, day)
        taken, self._sums = self._sums, {}
        return taken

    def forget(self, engine: str) -> None:
        """An engine is not configured any more."""
        self._watched.pop(engine, None)
        self._marks.pop(engine, None)

    def marks(self) -> dict[str, Any]:
        """Return what a later observer needs to go on, as JSON."""
        return {
            engine: {
                "run_id": run_id,
                "observed": Observed(
                    counts=counted.counts, histograms=counted.histograms
                ).to_json(),
            }
            for engine, (run_id, counted) in self._marks.items()
        }

    def resume(self, marks: Mapping[str, Any], at: float) -> None:
        """Go on where an earlier observer ended, at `at` (seconds since the epoch).

        Raises: KeyError, ValueError, TypeError, AttributeError: these are no marks.
        """
        read = {}
        for engine, mark in marks.items():
            seen = from_json(mark["observed"])
            read[str(engine)] = str(mark["run_id"]), EngineCounts(seen.counts, seen.histograms)
        self._marks = read | self._marks
        self._began_s = min(self._began_s, at)

    def _count(self, watched: _Engine, day: str) -> None:
        run, counted = watched.run, read_counted(watched.page.families)
        watched.counted_at = watched.page.read_at
        known, before = self._marks.get(run.engine, ("", EngineCounts()))
        self._marks[run.engine] = run.run_id, counted
        if known != run.run_id:
            before = EngineCounts() if run.began_s >= self._began_s else counted
        added = counted.since(before)
        if any(added.counts.values()) or added.histograms:
            seen = Observed(counts=added.counts, histograms=added.histograms)
            self._add(Slot(day, run.engine, run.command), seen)

    def _add(self, slot: Slot, seen: Observed) -> None:
        self._sums[slot] = self._sums.get(slot, Observed()) + seen


def _seen(moment: EngineMoment, passed_s: float, gpus: GpuRoom) -> Observed:
    queued, full = moment.waiting > 0, (moment.kv_cache or 0.0) >= NEARLY_FULL
    highest = {"running": moment.running, "waiting": moment.waiting}
    if moment.kv_cache is not None:
        highest["kv_cache"] = moment.kv_cache
    if gpus.margin is not None:
        highest["margin"] = gpus.margin
    return Observed(
        watched_s=passed_s,
        idle_s=0.0 if moment.running or queued else passed_s,
        queued_s=passed_s if queued else 0.0,
        queued_full_s=passed_s if queued and full else 0.0,
        highest=highest,
        lowest={} if gpus.free is None else {"free": gpus.free},
    )
