"""Adds up what engines use, hour by hour, over restarts, resets and gaps. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.cost.usage import HOUR_NS, SECOND_NS, Activity, Counters, HourUsage, Usage

GAP_NS = 600 * SECOND_NS
"""A run that an earlier daemon left is found within so long, or it is gone."""
MAX_TICK_NS = 60 * SECOND_NS
"""A longer pause between two looks is one in which nobody looked: the host slept."""


@attrs.frozen
class Sample:
    """What an engine does at one moment."""

    activity: Activity
    run_id: str | None = None
    """Of the run that there is; None if there is none."""
    started_ns: int = 0
    """When that run began, since the epoch."""
    gpus: Mapping[str, int] = attrs.field(factory=dict)
    """Its GPUs, and how many engines share each."""


@attrs.frozen
class CounterMark:
    """How far an engine's own counters were counted."""

    run_id: str
    counters: Counters


@attrs.frozen
class GpuPower:
    """What a GPU says at one moment: energy counted in mJ, and power in mW; None if it does not."""

    energy_mj: int | None = None
    power_mw: int = 0


class Meter:
    """Times are in nanoseconds: `wall` since the epoch, `mono` monotonic."""

    def __init__(self, wall_ns: int) -> None:
        """Begin to measure."""
        self._began_ns = wall_ns
        self._left_ns: int | None = None
        """When an earlier daemon last looked; None once all of the time since is booked."""
        self._mono_ns: int | None = None
        self._first_ns: int | None = None
        self._marks: dict[str, CounterMark] = {}
        self._seen: set[str] = set()
        self._pending: dict[str, Usage] = {}
        self._energy: dict[str, int] = {}
        self._weights: dict[tuple[str, str], dict[HourUsage, int]] = {}
        """By GPU and engine: in what its energy went since it was last counted, by its power."""
        self.slots: dict[HourUsage, Usage] = {}

    # --- what an earlier daemon left ---------------------------------------------------------

    def state(self, wall_ns: int) -> dict[str, Any]:
        """Return what a later daemon needs to go on."""
        marks = {
            name: {"run_id": mark.run_id, **attrs.asdict(mark.counters)}
            for name, mark in self._marks.items()
        }
        return {"at_ns": wall_ns if self._left_ns is None else self._left_ns, "engines": marks}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where an earlier daemon ended.

        Raises: KeyError, ValueError, TypeError, AttributeError: that is no state.
        """
        marks = {
            str(name): CounterMark(
                str(each["run_id"]),
                Counters(**{f.name: int(each[f.name]) for f in attrs.fields(Counters)}),
            )
            for name, each in state["engines"].items()
        }
        self._left_ns, self._marks = int(state["at_ns"]), marks

    def forget_before(self, hour: int) -> None:
        """Drop what was used before an hour (epoch seconds): it is written down."""
        self.slots = {slot: usage for slot, usage in self.slots.items() if slot.hour >= hour}

    # --- what is measured --------------------------------------------------------------------

    def count(self, engine: str, run_id: str, started_ns: int, counters: Counters) -> None:
        """Take an engine's own counters, as its page shows them; its run began at `started_ns`."""
        self._meet(engine, run_id, started_ns)
        mark = self._marks.get(engine)
        # of a run that nobody met at its start, it is not known what it did before
        added = counters.since(mark.counters) if mark else Counters()
        self._marks[engine] = CounterMark(run_id, counters)
        if added:
            self._pending[engine] = self._pending.get(engine, Usage()) + _tokens(added)

    def _meet(self, engine: str, run_id: str, started_ns: int) -> None:
        """Count a run from its start, if it began since somebody looks."""
        mark = self._marks.get(engine)
        looked_from_ns = self._began_ns if self._left_ns is None else self._left_ns
        if (mark is None and started_ns >= looked_from_ns) or (mark and mark.run_id != run_id):
            self._marks[engine] = CounterMark(run_id, Counters())

    def look(
        self,
        wall_ns: int,
        mono_ns: int,
        samples: Mapping[str, Sample],
        gpus: Mapping[str, GpuPower],
    ) -> None:
        """Book the time since the last look."""
        passed_ns = 0 if self._mono_ns is None else mono_ns - self._mono_ns
        self._mono_ns = mono_ns
        self._first_ns = mono_ns if self._first_ns is None else self._first_ns
        for name, sample in samples.items():
            if sample.run_id is not None:
                self._meet(name, sample.run_id, sample.started_ns)
            gap = self._close_gap(name, sample)
            pending = self._pending.pop(name, Usage())
            activity = sample.activity
            if (passed_ns > MAX_TICK_NS and activity is not Activity.DOWN) or (gap and pending):
                activity = Activity.UNWATCHED
            elif pending.tokens and activity is Activity.IDLE:
                activity = Activity.BUSY
            slot = HourUsage(_hour(wall_ns), name, activity)
            self._day_files(name, activity, wall_ns, passed_ns, sample.gpus)
            self._add(slot, pending)
            for gpu in sample.gpus:
                weights = self._weights.setdefault((gpu, name), {})
                power_mw = gpus.get(gpu, GpuPower()).power_mw
                weights[slot] = weights.get(slot, 0) + power_mw * (passed_ns // 1000)
        self._spend(gpus, samples)
        if mono_ns - self._first_ns > GAP_NS:
            self._left_ns = None

    def _close_gap(self, name: str, sample: Sample) -> bool:
        """Book the time in which no daemon looked, as far as the run that there is served in it.

        Returns: whether this is the first look at an engine that did.
        """
        if self._left_ns is None or sample.run_id is None or name in self._seen:
            return False
        self._seen.add(name)
        since_ns = max(self._left_ns, sample.started_ns)
        if since_ns >= self._began_ns:
            return False
        passed_ns = self._began_ns - since_ns
        self._day_files(name, Activity.UNWATCHED, self._began_ns, passed_ns, sample.gpus)
        return True

    def _day_files(
        self, name: str, activity: Activity, end_ns: int, passed_ns: int, gpus: Mapping[str, int]
    ) -> None:
        for hour, part_ns in split(end_ns - passed_ns, end_ns):
            gpu_ns = sum(part_ns // shared for shared in gpus.values())
            self._add(HourUsage(hour, name, activity), Usage(duration_ns=part_ns, gpu_ns=gpu_ns))

    def _spend(self, gpus: Mapping[str, GpuPower], samples: Mapping[str, Sample]) -> None:
        """Book the energy that GPUs have counted, where their power went meanwhile.

        GPUs count exactly, and are asked for it more seldom than for their power.
        """
        for uuid, gpu in gpus.items():
            before = self._energy.get(uuid)
            if gpu.energy_mj is None or gpu.energy_mj == before:
                continue
            self._energy[uuid] = gpu.energy_mj
            fell = before is not None and gpu.energy_mj < before
            used = 0 if before is None else gpu.energy_mj - (0 if fell else before)
            for name, sample in samples.items():
                weights = self._weights.pop((uuid, name), {})
                if used and uuid in sample.gpus:
                    for slot, part in divide(used // sample.gpus[uuid], weights):
                        self._add(slot, Usage(energy_mj=part))

    def _add(self, slot: HourUsage, usage: Usage) -> None:
        if usage != Usage():
            self.slots[slot] = self.slots.get(slot, Usage()) + usage


def _tokens(counters: Counters) -> Usage:
    return Usage(**attrs.asdict(counters))


def _hour(at_ns: int) -> int:
    return at_ns // HOUR_NS * 3600


def split(begin_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """Yield the hours that a time falls into (epoch seconds), and how much of it falls in each."""
    while begin_ns < end_ns:
        next_ns = min(end_ns, (begin_ns // HOUR_NS + 1) * HOUR_NS)
        yield _hour(begin_ns), next_ns - begin_ns
        begin_ns = next_ns


def divide(amount: int, weights: Mapping[HourUsage, int]) -> Iterator[tuple[HourUsage, int]]:
    """Divide an amount by weights, whole and without a rest; the last slot gets what is left."""
    whole, left = sum(weights.values()), amount
    for number, (slot, weight) in enumerate(weights.items(), start=1):
        last = number == len(weights)
        part = left if last else amount * weight // whole if whole else 0
        left -= part
        yield slot, part
