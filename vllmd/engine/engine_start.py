"""How a start of an engine gets on: its phases, its memory, and how long it takes."""

from abc import ABC, abstractmethod

import structlog

from vllmd.engine.liveness.work_baseline import WorkBaseline
from vllmd.engine.loading import durations
from vllmd.engine.loading.phases import further
from vllmd.engine.process.run_state import Run
from vllmd.engine.restart.policy import proven
from vllmd.engine.restart.state_file import RestartState
from vllmd.engine.state_machine import State, Trigger
from vllmd.events.base import emit
from vllmd.events.engine import EnginePhaseReached
from vllmd.util.clock import Clock


class EngineStart(ABC):
    """The start that is under way, or was the last; an engine's state is one."""

    log: structlog.stdlib.BoundLogger
    known: RestartState
    state: State
    run: Run | None
    phase: str | None
    phases: dict[str, float]
    start_fails: bool
    sizes: dict[str, int]
    problem: str | None
    start_duration_s: float | None
    starts_short: bool
    _clock: Clock
    _ready_at: float | None

    @abstractmethod
    def to(self, event: Trigger) -> None:
        """Change the state as `event` says."""

    @abstractmethod
    def _keep(self) -> None:
        """Write down what is true of the run."""

    def spawned(self, run: Run, *, seen: bool) -> None:
        """Note what runs from now on; `seen` if its start was, and not only its middle."""
        self.run = run
        self._ready_at = self.start_duration_s = None
        self.start_fails = False
        self.sizes = {}
        self.phases = {durations.SPAWN: self._clock.monotonic()} if seen else {}

    def reach(self, phase: str | None, at: float | None = None) -> None:
        """Note how far a loading engine has come; what is no further, or None, changes nothing.

        `at` is when it came so far, in seconds since the epoch, if that is known better than now.
        """
        if phase is None or self.start_fails or further(self.phase, phase) == self.phase:
            return
        self.phase = phase
        ago_s = 0.0
        if self.phases:
            now, latest = self._clock.monotonic(), max(self.phases.values())
            reached = now if at is None else now - (self._clock.time() - at)
            self.phases[phase] = min(now, max(latest, reached))
            ago_s = now - self.phases[phase]
        self._keep()
        left_s = None if (left := self.start_left_s()) is None else round(left, 1)
        emit(self.log, EnginePhaseReached(phase=phase, left_s=left_s, ago_s=round(ago_s, 1)))

    def learn(self, size: tuple[str, int] | None) -> None:
        """Note what a loading engine said of its memory; of several workers the largest counts."""
        if size is not None:
            name, value = size
            if value > self.sizes.get(name, 0):
                self.sizes[name] = value
                self._keep()

    def start_left_s(self) -> float | None:
        """Estimate how long the start under way still takes; None if nothing is known of it.

        One that fails takes no time any more: nothing is said of it.
        """
        earlier = self.known.starts.get(self._command_hash, ())
        if not self.phases or not earlier or self.start_fails:
            return None
        phase, at = list(self.phases.items())[-1]
        return durations.left_s(earlier, phase, self._clock.monotonic() - at)

    @property
    def _command_hash(self) -> str:
        return self.run.command_hash if self.run else ""

    def usual_start_s(self) -> float | None:
        """Return what starts of the command under way usually take; None if there was none."""
        return durations.usual_s(self.known.starts.get(self._command_hash, ()))

    def phase_durations(self) -> dict[str, float]:
        """Return the seconds that each phase of this start took, or has taken so far."""
        if not self.phases:
            return {}
        begun = list(self.phases.values())
        loading = self.state is State.LOADING
        done = self._clock.monotonic() if loading else begun[0] + (self.start_duration_s or 0.0)
        ended = [*begun[1:], max(done, begun[-1])]
        return {
            name: end - begin for name, begin, end in zip(self.phases, begun, ended, strict=True)
        }

    def ready(self) -> None:
        """Note that a loading engine serves."""
        self.problem = None
        self._ready_at = now = self._clock.monotonic()
        known = self.known
        if self.phases:
            self.start_duration_s = now - min(self.phases.values())
            took = self.phase_durations()
            known.starts = durations.remembered(known.starts, self._command_hash, took)
        if self.starts_short:
            known.note_short_start(self._command_hash)
        self.starts_short = False
        known.past = proven(known.past, self._command_hash)
        self.to(Trigger.ANSWERED)

    def work(self) -> WorkBaseline:
        """Return what is known of the work of the command that runs; it is added to in place."""
        work = self.known.work
        work[self._command_hash] = found = work.pop(self._command_hash, None) or WorkBaseline()
        for oldest in list(work)[: -durations.KEPT_COMMANDS]:
            del work[oldest]
        return found
