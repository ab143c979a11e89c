"""Adds up what engines and GPUs used, hour by hour, over restarts, resets and gaps. Pure.

Every moment is booked once: lengths of time are of the monotonic clock, which is the same for all
daemons of a boot, and the state says up to when time was booked. The next daemon goes on from
there, so daemons that die, however often, and clocks that are set never make more time than passed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.cost.usage import HOUR_NS, NOBODY, SECOND_NS, Activity, Counters, HourUsage, Usage

GAP_NS = 600 * SECOND_NS
"""How long a daemon waits to know which engines run before it books anything."""
MILLION = 1_000_000
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
    asleep: bool = False


@attrs.frozen
class CounterMark:
    """How far an engine's own counters were counted."""

    run_id: str
    counters: Counters


@attrs.frozen
class GpuUse:
    """Who uses a GPU at one moment, and what it takes: energy counted in mJ, and power in mW.

    `held` and `worked` are weights by engine, or by who is none (`usage.NOBODY`, `usage.OTHERS`).
    """

    held: Mapping[str, int]
    """Who pays for its time, and for the power that it takes without work."""
    worked: Mapping[str, int] = attrs.field(factory=dict)
    """Who makes it take more; empty where nobody is known to."""
    energy_mj: int | None = None
    power_mw: int = 0
    freed: Mapping[str, int] = attrs.field(factory=dict)
    """How much of its memory engines that sleep gave back, in millionths of all of it."""
    timed: bool = True
    """Whether its time counts; that of a GPU in instances is theirs."""

    @property
    def users(self) -> list[str]:
        """All who have a part of it."""
        return sorted(self.held.keys() | self.worked.keys() | self.freed.keys())

    def time_of(self, name: str, passed_ns: int) -> int:
        """Return a user's part of some time."""
        return passed_ns * self.held.get(name, 0) // max(1, sum(self.held.values()))

    def freed_of(self, name: str, passed_ns: int) -> int:
        """Return which part of some time a user gave back."""
        return passed_ns * self.freed.get(name, 0) // MILLION

    def power_of(self, name: str, idle_mw: int) -> int:
        """Return a user's part of its power in mW, of which it takes `idle_mw` without work."""
        worked = self.worked if any(self.worked.values()) else self.held
        more_mw = self.power_mw - idle_mw
        more = more_mw * worked.get(name, 0) // max(1, sum(worked.values()))
        return self.time_of(name, idle_mw) + more


class Meter:
    """Times are in nanoseconds: `wall` since the epoch, `mono` monotonic."""

    def __init__(self, wall_ns: int, mono_ns: int, boot: str = "") -> None:
        """Begin to measure, in the boot with that id."""
        self._boot = boot
        self._began_ns = self._booked_ns = mono_ns
        self._booked_wall_ns = wall_ns
        """When the last look was, of this daemon or of an earlier one."""
        self._first = True
        self._there: set[str] = set()
        """The engines that the last look knew."""
        self._marks: dict[str, CounterMark] = {}
        self._ran: dict[str, str] = {}
        """The runs that an earlier daemon knew, by engine."""
        self._pending: dict[str, Usage] = {}
        self._own: dict[str, CounterMark] = {}
        """By engine: what vllmd itself asked of a run, and its page has not shown yet."""
        self._energy: dict[str, int] = {}
        """By GPU: its counter, as far as it is booked."""
        self.idle_mw: dict[str, int] = {}
        """By GPU: the lowest power that was seen, which it takes without work."""
        self._weights: dict[str, dict[HourUsage, int]] = {}
        """By GPU: in what its energy went since it was last booked, by its power."""
        self.slots: dict[HourUsage, Usage] = {}

    # --- what an earlier daemon left ---------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what a later daemon needs to go on."""
        marks = {
            name: {"run_id": mark.run_id, **attrs.asdict(mark.counters)}
            for name, mark in self._marks.items()
        }
        return {
            "at_ns": self._booked_wall_ns,
            "mono_ns": self._booked_ns,
            "boot": self._boot,
            "engines": marks,
            "energy_mj": dict(self._energy),
            "idle_mw": dict(self.idle_mw),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where an earlier daemon ended. Of another boot only counters are taken over.

        Raises: KeyError, ValueError, TypeError, AttributeError: that is no state.
        """
        marks = {
            str(name): CounterMark(
                str(each["run_id"]),
                Counters(**{f.name: int(each[f.name]) for f in attrs.fields(Counters)}),
            )
            for name, each in state["engines"].items()
        }
        at_ns, mono_ns = int(state["at_ns"]), int(state.get("mono_ns", self._began_ns))
        energy, idle = (
            {str(gpu): int(value) for gpu, value in state.get(key, {}).items()}
            for key in ("energy_mj", "idle_mw")
        )
        self._marks, self._booked_wall_ns, self.idle_mw = marks, at_ns, idle
        self._ran = {name: mark.run_id for name, mark in marks.items()}
        if state.get("boot") == self._boot:
            self._booked_ns, self._energy = min(mono_ns, self._began_ns), energy

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
        added = self._without_own(engine, run_id, added)
        self._marks[engine] = CounterMark(run_id, counters)
        if added:
            self._pending[engine] = self._pending.get(engine, Usage()) + _tokens(added)

    def asked(self, engine: str, run_id: str, own: Counters) -> None:
        """Note what vllmd itself asked of a run: its page will show it, and nobody pays for it."""
        before = self._own.get(engine)
        if before is not None and before.run_id == run_id:
            own = before.counters.plus(own)
        self._own[engine] = CounterMark(run_id, own)

    def _without_own(self, engine: str, run_id: str, added: Counters) -> Counters:
        own = self._own.pop(engine, None)
        if own is None or own.run_id != run_id:
            return added
        if left := own.counters.less(added):
            self._own[engine] = CounterMark(run_id, left)
        return added.less(own.counters)

    def _meet(self, engine: str, run_id: str, started_ns: int) -> None:
        """Count a run from its start, if it began since somebody looks."""
        mark = self._marks.get(engine)
        began_since = mark is None and started_ns >= self._booked_wall_ns
        if began_since or (mark and mark.run_id != run_id):
            self._marks[engine] = CounterMark(run_id, Counters())

    def look(
        self,
        wall_ns: int,
        mono_ns: int,
        samples: Mapping[str, Sample | None],
        gpus: Mapping[str, GpuUse],
        complete: bool = True,
    ) -> None:
        """Book the time since the last look.

        A sample that is None is of an engine that is not known yet: nobody has looked for it. As
        long as the look is not `complete`, a new daemon waits with what an earlier one left.
        """
        if self._first and not complete and mono_ns - self._began_ns < GAP_NS:
            return
        spans: dict[str, tuple[Activity, int]] = {}
        for name, sample in samples.items():
            if sample is None:
                continue
            activity, passed_ns = spans[name] = self._span(name, sample, wall_ns, mono_ns)
            if sample.run_id is not None:
                self._meet(name, sample.run_id, sample.started_ns)
            slot = HourUsage(_hour(wall_ns), name, activity)
            self._add(slot, self._pending.pop(name, Usage()))
            for hour, part_ns in split(wall_ns - passed_ns, wall_ns):
                slept_ns = part_ns if sample.asleep and activity is Activity.IDLE else 0
                spent = Usage(duration_ns=part_ns, asleep_ns=slept_ns)
                self._add(HourUsage(hour, name, activity), spent)
        for uuid, gpu in gpus.items():
            self._use(uuid, gpu, wall_ns, mono_ns, spans)
            self._spend(uuid, gpu)
        self._there = set(spans)
        self._booked_ns, self._booked_wall_ns = mono_ns, wall_ns
        self._first = False

    def _span(self, name: str, sample: Sample, wall_ns: int, mono_ns: int) -> tuple[Activity, int]:
        """Return what an engine did until now, and for how long."""
        pending, activity = self._pending.get(name, Usage()), sample.activity
        passed_ns = mono_ns - self._booked_ns
        if not self._first:
            if name not in self._there:
                return activity, 0
            if passed_ns > MAX_TICK_NS and activity is not Activity.DOWN:
                return Activity.UNWATCHED, passed_ns
        elif self._booked_ns < self._began_ns:
            watched_ns = mono_ns - self._began_ns
            if sample.run_id is None:
                return Activity.DOWN, watched_ns
            if self._ran.get(name) != sample.run_id:
                # the wall clock may have been set: no run is older than what is to be booked
                passed_ns = max(0, min(passed_ns, wall_ns - sample.started_ns))
            if passed_ns > watched_ns:
                return Activity.UNWATCHED, passed_ns
            passed_ns = watched_ns
        if pending.tokens and activity is Activity.IDLE:
            activity = Activity.BUSY
        return activity, passed_ns

    def _use(
        self,
        uuid: str,
        gpu: GpuUse,
        wall_ns: int,
        mono_ns: int,
        spans: Mapping[str, tuple[Activity, int]],
    ) -> None:
        """Book a GPU's time, and note whose its energy is until that is counted."""
        idle_mw = self._idle_power(uuid, gpu.power_mw)
        gpu = attrs.evolve(gpu, power_mw=gpu.power_mw or 1)
        watched_ns = mono_ns - max(self._booked_ns, self._began_ns)
        weights = self._weights.setdefault(uuid, {})
        for name in gpu.users:
            unknown = Activity.IDLE if name == NOBODY else Activity.BUSY
            activity, span_ns = spans.get(name, (unknown, watched_ns))
            for hour, part_ns in split(wall_ns - span_ns, wall_ns) if gpu.timed else ():
                freed_ns = gpu.freed_of(name, part_ns) if activity is Activity.IDLE else 0
                used = Usage(gpu_ns=gpu.time_of(name, part_ns), freed_gpu_ns=freed_ns)
                self._add(HourUsage(hour, name, activity), used)
            slot = HourUsage(_hour(wall_ns), name, activity)
            taken = gpu.power_of(name, idle_mw) * (span_ns // 1000)
            weights[slot] = weights.get(slot, 0) + taken
        passed_ns = mono_ns - self._booked_ns
        if passed_ns > watched_ns:
            # no run can vouch for it, but the GPU has counted it
            rest = gpu.power_mw * (passed_ns // 1000) - sum(weights.values())
            weights[HourUsage(_hour(wall_ns), NOBODY, Activity.UNWATCHED)] = max(0, rest)

    def _idle_power(self, uuid: str, power_mw: int) -> int:
        idle_mw = min(self.idle_mw.get(uuid, power_mw), power_mw)
        if power_mw:
            self.idle_mw[uuid] = idle_mw
        return idle_mw

    def _spend(self, uuid: str, gpu: GpuUse) -> None:
        """Book the energy that a GPU has counted, where its power went meanwhile.

        GPUs count exactly, and are asked for it more seldom than for their power.
        """
        if gpu.energy_mj is None:
            return
        before, weights = self._energy.get(uuid), self._weights[uuid]
        if before is None:
            self._energy[uuid] = gpu.energy_mj
            weights.clear()
            return
        if gpu.energy_mj == before or not any(weights.values()):
            return
        self._energy[uuid] = gpu.energy_mj
        fell = gpu.energy_mj < before
        for slot, part in divide(gpu.energy_mj - (0 if fell else before), weights):
            self._add(slot, Usage(energy_mj=part))
        weights.clear()

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
