"""What is known of one engine, and the log of it: every change goes through here, once."""

from collections import Counter

import structlog

from vllmd import events
from vllmd.clock import Clock
from vllmd.engine.exits import Exit
from vllmd.engine.state import Event, State, transition

_LEVELS = {True: "info", False: "error"}


class Ledger:
    """State, phase, problem and counts of one engine. Times are seconds since the epoch."""

    def __init__(self, engine: str, clock: Clock) -> None:
        self.log = structlog.get_logger().bind(engine=engine)
        self._clock = clock
        self.state = State.STOPPED
        self.since = clock.time()
        self.phase: str | None = None
        self.problem: str | None = None
        self.start_duration_s: float | None = None
        self.restarts = 0
        self.exits: Counter[tuple[str, bool]] = Counter()
        self.last_exit: Exit | None = None
        self.first_failure: Exit | None = None
        """What began the failures that are not over yet: later ones may be its echo."""
        self.ready_s = 0.0
        """How long the last run had been ready when it ended."""
        self._ready_at: float | None = None

    def to(self, event: Event) -> None:
        """Change the state as `event` says."""
        before, self.state = self.state, transition(self.state, event)
        now = self._clock.time()
        self.log.info(
            events.STATE_CHANGED,
            state=str(self.state),
            before=str(before),
            cause=str(event),
            after_s=round(now - self.since, 3),
        )
        self.since = now

    def begin_anew(self) -> None:
        """Forget the state after a mistake in the supervisor: it looks for what runs again."""
        self.state, self.since = State.STOPPED, self._clock.time()
        self.phase = None

    def reach(self, phase: str | None) -> None:
        """Note how far a loading engine has come."""
        if phase != self.phase:
            self.phase = phase
            self.log.info(events.ENGINE_PHASE_REACHED, phase=phase)

    def ready(self, started_at: float | None) -> None:
        """Note that a loading engine serves; `started_at` is None if its start was not seen."""
        self.problem = None
        self._ready_at = self._clock.monotonic()
        if started_at is not None:
            self.start_duration_s = self._clock.time() - started_at
        self.to(Event.ANSWERED)

    def found(self, problem: str) -> None:
        """Note what a person has to know or do; logged when it is new."""
        if problem != self.problem:
            self.log.warning(events.ENGINE_PROBLEM_FOUND, problem=problem)
        self.problem = problem

    def ended(self, end: Exit) -> None:
        """Note the end of a run."""
        getattr(self.log, _LEVELS[end.requested])(
            events.ENGINE_EXITED,
            code=end.label,
            requested=end.requested,
            run_id=end.run_id,
            cause=end.diagnosis.cause if end.diagnosis else None,
            killed=list(end.killed),
            last_line=end.tail[-1] if end.tail else end.error,
        )
        self.exits[end.label, end.requested] += 1
        self.last_exit = end
        now = self._clock.monotonic()
        self.ready_s = now - self._ready_at if self._ready_at is not None else 0.0
        self._ready_at = None
        self.phase = None
