"""The verdict on a serving engine: idle, busy, silent or stalled. Pure: no I/O, no clock.

Engine steps are the heartbeat. Standing still with nothing to do is idle; standing still with
requests in flight is a hang, unless a step just takes long. Two limits tell those apart: a short
one while the engine's processes use no CPU and wait for no disk, so that nothing can be in the
making, and a long one while they do (a long prefill does, and so does a kernel that spins). Where
GPUs are read, these tell a hang before either (`hang_signs.py`), and while they prove work, neither
limit counts.

Time counts only as far as it was watched: readings come with times that stand still while the
daemon is late, and what is between two of them counts up to the usual pause. What a page shows is
known from the moment on at which all of it was there, up to that at which the next was asked for.
"""

import enum
from collections.abc import Callable, Mapping

import attrs

from vllmd.config.model import LivenessConfig
from vllmd.engine.liveness.canary import RANK
from vllmd.engine.liveness.hang_watch import HangWatch
from vllmd.engine.liveness.reading import (
    LOADED_BYTES_PER_S,
    MOVED_BYTES_PER_S,
    PageAnswer,
    ProcessActivity,
    RankProgress,
    Reading,
    did_nothing,
)
from vllmd.engine.liveness.work_baseline import WorkBaseline
from vllmd.util.units import format_duration

TOLERANCE_S = 1.0
"""A pause between two looks that is longer by more than this was not watched to its end."""
LOOK_S = 6.0
"""What asking a loading engine may take, beside the pause."""
MOST_COMPUTING = 6.0
"""However much GPUs compute, a step takes at most so many times the long limit."""


class Verdict(enum.StrEnum):
    """What an engine does, by its progress."""

    IDLE = "idle"
    BUSY = "busy"
    SLEEPING = "sleeping"
    SILENT = "silent"
    """Its page cannot be read; not long enough to say more."""
    UNKNOWN = "unknown"
    """Nobody could look."""
    STALLED = "stalled"


@attrs.frozen
class Assessment:
    """A verdict; for a stall the sentence that says why, and the rank that stands still, if any."""

    verdict: Verdict
    reason: str = ""
    rank: str | None = None
    by_gpus: bool = False
    """Whether the GPUs' readings showed it, before the limits that go without them."""
    cleared_by_work: bool = False
    """Whether GPUs that are seen to work now speak for it: they can work at nothing else."""
    asked: bool = False
    """Whether the rank was asked, so that a step is to be expected whatever it says it has."""


@attrs.define
class _Suspicion:
    """Since when something stood still, and since when without CPU; in watched seconds."""

    since: float
    quiet_since: float
    cpu_s: float | None = None
    cpu_at: float = 0.0
    moved: int = 0
    looked_at: float = attrs.Factory(lambda self: self.since, takes_self=True)
    computed_s: float = 0.0

    def look(
        self,
        now: float,
        cpu_s: float | None,
        at: float | None,
        *,
        moved: int = 0,
        worked: bool = False,
        computes: bool = False,
    ) -> None:
        """Take note of the CPU time and the bytes moved so far, as of `at`, a monotonic time.

        `worked` if something else says that it was not quiet, `computes` if GPUs prove work.
        """
        at = now if at is None else at
        worked = worked or computes or cpu_s is None
        self.computed_s += now - self.looked_at if computes else 0.0
        self.looked_at = now
        if cpu_s is not None and self.cpu_s is not None and at > self.cpu_at:
            used = cpu_s - self.cpu_s, moved - self.moved
            worked = worked or not did_nothing(*used, at - self.cpu_at, LOADED_BYTES_PER_S)
        if worked:
            self.quiet_since = now
        self.cpu_s, self.cpu_at, self.moved = cpu_s, at, moved

    def over(self, now: float, limits: LivenessConfig) -> bool:
        """Tell whether a limit is reached."""
        return (
            now - self.quiet_since >= limits.stall_s
            or now - self.since - self.computed_s >= limits.hang_s
            or self.at_an_end(now, limits)
        )

    def at_an_end(self, now: float, limits: LivenessConfig) -> bool:
        """Tell whether it stood still for longer than any work may take."""
        return now - self.since >= MOST_COMPUTING * limits.hang_s

    def describe(self, now: float) -> str:
        """Say for how long, and what its processes did."""
        quiet = self.quiet_since <= self.since
        what = "used no CPU" if quiet else "used CPU"
        return f"for {format_duration(now - self.since)}, while its processes {what}"


class StallDetector:
    """Keeps what it needs of earlier readings; one for each run of an engine.

    `poll_s` is the pause between two readings.
    """

    def __init__(
        self, limits: LivenessConfig, poll_s: float, hang: HangWatch | None = None
    ) -> None:
        self.limits = limits
        self.poll_s = poll_s
        self.hang = hang or HangWatch(lambda *_: None, lambda: 0.0, WorkBaseline())
        self._watched_s = 0.0
        self._looked_at = 0.0
        self._count_since: dict[str, float] = {}
        """Since when each rank shows its count of steps with requests running."""
        self._last_until: float | None = None
        self._ranks: dict[str, RankProgress] = {}
        self._standing: dict[str, _Suspicion] = {}
        self._silence: _Suspicion | None = None

    def assess(
        self, reading: Reading, activity: Callable[[], ProcessActivity | None]
    ) -> Assessment:
        """Say what a reading means; `activity` is asked only if something stands still."""
        last, self._last_until = self._last_until, reading.until
        if reading.answer is PageAnswer.UNKNOWN:
            return Assessment(Verdict.UNKNOWN)
        if last is not None:
            self._watched_s += min(max(0.0, reading.at - last), self.poll_s + TOLERANCE_S)
        asked, begun = self._watched_s, reading.at if last is None else max(reading.at, last)
        self._watched_s += max(0.0, reading.until - begun)
        if reading.answer is not PageAnswer.PAGE:
            return self._judge_silence(reading.answer, activity)
        self._silence = None
        if reading.sleeping:
            self._ranks = {}
            self.hang.reset()
            return Assessment(Verdict.SLEEPING)
        return self._judge_steps(reading, asked, activity)

    def reset(self, *, went_on: bool = False) -> None:
        """Forget since when something stands still: somebody else saw that all is well.

        `went_on` if it was seen that the step is done: how long it took is learned.
        """
        self._silence = None
        self._ranks = {}
        if went_on:
            self.hang.went_on()
        self.hang.reset()

    def _judge_silence(
        self, answer: PageAnswer, activity: Callable[[], ProcessActivity | None]
    ) -> Assessment:
        now = self._watched_s
        if self._silence is None:
            self._silence = _Suspicion(now, now)
        used = activity() if answer is PageAnswer.NONE else None
        if answer is PageAnswer.NONE:
            cpu_s, at = (used.api_cpu_s, used.at) if used else (None, None)
            self._silence.look(now, cpu_s, at)
        if not self._silence.over(now, self.limits):
            return Assessment(Verdict.SILENT)
        how = "refuses connections" if answer is PageAnswer.REFUSED else "does not answer"
        return Assessment(Verdict.STALLED, f"its API {how}, {self._silence.describe(now)}")

    def _judge_steps(
        self, reading: Reading, asked: float, activity: Callable[[], ProcessActivity | None]
    ) -> Assessment:
        before, self._ranks = self._ranks, dict(reading.ranks)
        standing = {
            name: rank
            for name, rank in reading.ranks.items()
            if name in before and rank.stands(before[name])
        }
        running = self._step_under_way(before, standing, asked)
        looked_at, self._looked_at = self._looked_at, asked
        self._standing = {name: s for name, s in self._standing.items() if name in standing}
        if running is None:
            self.hang.moves(worked=_worked_between(before, reading.ranks))
        if not standing:
            busy = any(rank.has_work for rank in reading.ranks.values())
            return Assessment(Verdict.BUSY if busy else Verdict.IDLE)
        used = activity()
        shown, step_s = None, 0.0
        if running is not None:
            step_s = asked - self._count_since[running]
            shown = self.hang.stands(step_s, asked - looked_at, used, self.limits, self.poll_s)
        # a rank that makes steps has GPUs that work, and none of that is done for another
        alone = all(name in standing for name, rank in reading.ranks.items() if rank.has_work)
        found = self._judge_standing(standing, used, asked, alone=alone)
        if found is not None or running is None or not shown:
            return found or Assessment(Verdict.BUSY)
        reason = _sentence(running, standing[running], f"for {format_duration(step_s)}")
        return Assessment(
            Verdict.STALLED, f"{reason}: {shown}", running, by_gpus=True, cleared_by_work=True
        )

    def _step_under_way(
        self, before: Mapping[str, RankProgress], standing: Mapping[str, RankProgress], asked: float
    ) -> str | None:
        """Return the rank whose requests run and whose step takes longest; None if there is none.

        A canary is none: the step that it waits for shows on no page.
        """
        for name in self._ranks:
            if name not in standing or not before[name].running:
                self._count_since[name] = asked
        running = [name for name, rank in standing.items() if rank.running and name != RANK]
        return min(running, key=self._count_since.__getitem__, default=None)

    def _judge_standing(
        self,
        standing: Mapping[str, RankProgress],
        used: ProcessActivity | None,
        asked: float,
        *,
        alone: bool,
    ) -> Assessment | None:
        answered = self._watched_s
        for name, rank in standing.items():
            suspicion = self._standing.setdefault(name, _Suspicion(answered, answered))
            now = max(asked, suspicion.since)
            suspicion.look(
                now,
                used.core_cpu_s if used else None,
                used.at if used else None,
                moved=used.loaded_bytes if used else 0,
                worked=used is not None and (used.gpu_busy is True or used.waits_for_disk),
                computes=alone and self.hang.computes,
            )
            if suspicion.over(now, self.limits):
                reason = _sentence(name, rank, suspicion.describe(now))
                clears = alone and name != RANK and not suspicion.at_an_end(now, self.limits)
                return Assessment(Verdict.STALLED, reason, name, cleared_by_work=clears)
        return None


def _worked_between(before: Mapping[str, RankProgress], now: Mapping[str, RankProgress]) -> bool:
    """Tell whether steps were made between two pages that both show requests running."""
    return any(
        rank.running and before[name].running and rank.steps > before[name].steps
        for name, rank in now.items()
        if name in before
    )


def _sentence(name: str, rank: RankProgress, how: str) -> str:
    work = f"{rank.running:g} running and {rank.waiting:g} waiting requests"
    return f"no engine step with {work} (rank {name}) {how}"


class LoadStallDetector:
    """The verdict on a load: it gets on as long as it prints, computes, or moves bytes."""

    def __init__(self, limit_s: float, poll_s: float) -> None:
        self.limit_s = limit_s
        self.poll_s = poll_s
        self._watched_s = 0.0
        self._last: tuple[float, ProcessActivity | None] | None = None
        self._still_since = 0.0

    def assess(self, at: float, *, spoke: bool, activity: ProcessActivity | None) -> str | None:
        """Take note of one look, at a watched time; `spoke` if it printed since the last one.

        Returns: the sentence that says why the load is stalled, or None.
        """
        if self._last is not None:
            before_at, before = self._last
            usual_s = self.poll_s + LOOK_S + TOLERANCE_S
            self._watched_s += min(max(0.0, at - before_at), usual_s)
            if spoke or _worked(before, activity, at - before_at):
                self._still_since = self._watched_s
        self._last = (at, activity)
        still_s = self._watched_s - self._still_since
        if still_s < self.limit_s:
            return None
        return f"no line, no CPU and no byte moved for {format_duration(still_s)}"

    def reset(self) -> None:
        """Forget since when nothing happens: somebody else saw that it answers."""
        self._still_since = self._watched_s


def _worked(before: ProcessActivity | None, now: ProcessActivity | None, seconds: float) -> bool:
    """Tell whether anything happened between two looks; what is not known counts as work."""
    if before is None or now is None:
        return True
    if before.at is not None and now.at is not None:
        seconds = now.at - before.at
    cpu_s = now.api_cpu_s + now.core_cpu_s - before.api_cpu_s - before.core_cpu_s
    moved = now.io_bytes - before.io_bytes
    return (
        not did_nothing(cpu_s, moved, seconds, MOVED_BYTES_PER_S)
        or now.gpu_memory_bytes != before.gpu_memory_bytes
    )
