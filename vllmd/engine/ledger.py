"""What is known of one engine, and the log of it: every change goes through here, once."""

import attrs
import structlog

from vllmd import events
from vllmd.clock import Clock
from vllmd.engine import starts
from vllmd.engine.exits import Exit
from vllmd.engine.liveness.reading import Answer, Reading
from vllmd.engine.phases import further
from vllmd.engine.restart.memory import Known, Memory
from vllmd.engine.restart.policy import Hold, proven
from vllmd.engine.state import Event, State, transition

SAVE_S = 2.0
_LEVELS = {True: "info", False: "error"}


class Ledger:
    """State, phase, problem and counts of one engine. Times are seconds since the epoch.

    What is in `known` outlives the daemon: it is written down with every change.
    """

    def __init__(self, engine: str, clock: Clock, memory: Memory) -> None:
        self.log = structlog.get_logger().bind(engine=engine)
        self._clock = clock
        self._memory = memory
        self.known: Known = memory.load()
        self.state = State.STOPPED
        self.since = clock.time()
        self.phase: str | None = None
        self.phases: dict[str, float] = {}
        """When each phase of this start was reached; empty if its beginning was not seen."""
        self.sizes: dict[str, int] = {}
        """What the engine said of the memory it takes: see `sizes.py`."""
        self.problem: str | None = None
        self.requests: tuple[int, int] | None = None
        """Requests that run and that wait, as the last page showed them; None if that is long ago,
        or there was none."""
        self.start_duration_s: float | None = None
        self.ready_s = 0.0
        """How long the last run had been ready when it ended."""
        self._ready_at: float | None = None
        self._command_hash = ""

    def save(self) -> None:
        """Write down what is to outlive the daemon."""
        self._memory.save(self.known)

    async def saved(self) -> None:
        """Wait until that is written down, or the disk does not take it; but not for long."""
        await self._memory.saved(SAVE_S)

    def counted(self, end: Exit) -> bool:
        """Tell whether an end was noted before: the daemon died before it forgot the run."""
        last = self.known.last_exit
        return last is not None and bool(end.run_id) and last.run_id == end.run_id

    def to(self, event: Event) -> None:
        """Change the state as `event` says."""
        before, self.state = self.state, transition(self.state, event)
        self.known.transitions[event, self.state] += 1
        self.save()
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
        self.requests = None

    # --- a start -----------------------------------------------------------------------------

    def spawned(self, command_hash: str, *, seen: bool) -> None:
        """Note what runs from now on; `seen` if its start was, and not only its middle."""
        self._command_hash = command_hash
        self.start_duration_s = None
        self.sizes = {}
        self.phases = {starts.SPAWN: self._clock.time()} if seen else {}

    def reach(self, phase: str | None, at: float | None = None) -> None:
        """Note how far a loading engine has come; what is no further, or None, changes nothing.

        `at` is when it came so far, in seconds since the epoch, if that is known better than now.
        """
        if phase is None or further(self.phase, phase) == self.phase:
            return
        self.phase = phase
        if self.phases:
            now, latest = self._clock.time(), max(self.phases.values())
            self.phases[phase] = now if at is None else min(now, max(latest, at))
        self.log.info(
            events.ENGINE_PHASE_REACHED, phase=phase, left_s=_rounded(self.start_left_s())
        )

    def learn(self, size: tuple[str, int] | None) -> None:
        """Note what a loading engine said of its memory; of several workers the largest counts."""
        if size is not None:
            name, value = size
            self.sizes[name] = max(value, self.sizes.get(name, 0))

    def start_left_s(self) -> float | None:
        """Estimate how long the start under way still takes; None if nothing is known of it."""
        earlier = self.known.starts.get(self._command_hash, ())
        if not self.phases or not earlier:
            return None
        phase, at = list(self.phases.items())[-1]
        return starts.left_s(earlier, phase, self._clock.time() - at)

    def usual_start_s(self) -> float | None:
        """Return what starts of the command under way usually take; None if there was none."""
        return starts.usual_s(self.known.starts.get(self._command_hash, ()))

    def phase_durations(self) -> dict[str, float]:
        """Return the seconds that each phase of this start took, or has taken so far."""
        if not self.phases:
            return {}
        begun = list(self.phases.values())
        loading = self.state is State.LOADING
        done = self._clock.time() if loading else begun[0] + (self.start_duration_s or 0.0)
        ended = [*begun[1:], max(done, begun[-1])]
        return {
            name: end - begin for name, begin, end in zip(self.phases, begun, ended, strict=True)
        }

    def ready(self, started_at: float | None) -> None:
        """Note that a loading engine serves; `started_at` is None if its start was not seen."""
        self.problem = None
        self._ready_at = self._clock.monotonic()
        if started_at is not None:
            self.start_duration_s = self._clock.time() - started_at
        known = self.known
        if self.phases:
            took = self.phase_durations()
            known.starts = starts.remembered(known.starts, self._command_hash, took)
        known.past = proven(known.past, self._command_hash)
        self.to(Event.ANSWERED)

    # --- an end ------------------------------------------------------------------------------

    def show(self, reading: Reading) -> None:
        """Note the requests in flight; a page that is late for once leaves what was known."""
        if reading.answer is Answer.PAGE:
            self.requests = (reading.running, reading.waiting)

    def found(self, problem: str) -> None:
        """Note what a person has to know or do; logged when it is new."""
        if problem != self.problem:
            self.log.warning(events.ENGINE_PROBLEM_FOUND, problem=problem)
        self.problem = problem

    def ended(self, end: Exit) -> None:
        """Note the end of a run, once."""
        known = self.known
        if not self.counted(end):
            self._tell_end(end)
            known.exits[end.label, end.requested] += 1
            if end.diagnosis is not None:
                known.causes[end.diagnosis.cause] += 1
            known.last_exit = end
        now = self._clock.monotonic()
        self.ready_s = now - self._ready_at if self._ready_at is not None else 0.0
        self._ready_at = None
        self.phase = None
        self.sizes = {}
        self.requests = None
        self.save()

    def _tell_end(self, end: Exit) -> None:
        getattr(self.log, _LEVELS[end.requested])(
            events.ENGINE_EXITED,
            code=end.label,
            requested=end.requested,
            text=end.describe(),
            run_id=end.run_id,
            **(attrs.asdict(end.diagnosis) if end.diagnosis else {}),
            phase=end.phase,
            killed=list(end.killed),
            incident=end.incident,
            last_line=end.tail[-1] if end.tail else end.error,
        )

    def hold(self, hold: Hold) -> None:
        """Note that the engine is not started until something changes."""
        self.known.hold = hold
        self.save()
        self.log.error(
            events.ENGINE_HELD, cause=hold.cause, reason=hold.reason, retry_at=hold.retry_at
        )

    def release(self, why: str) -> Hold | None:
        """Note that a hold ends, and return it."""
        hold, self.known.hold = self.known.hold, None
        if hold is not None:
            self.log.info(events.ENGINE_RELEASED, why=why, cause=hold.cause)
            self.save()
        return hold


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
