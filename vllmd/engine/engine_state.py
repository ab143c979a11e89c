"""What is known of one engine, and the log of it: every change goes through here, once.

Lengths of time are measured by the monotonic clock: a clock that is set changes none of them.
"""

import math

import structlog

from vllmd.engine import exits
from vllmd.engine.answers import Answers
from vllmd.engine.engine_start import EngineStart
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import MemoryWait, Shortage
from vllmd.engine.liveness.idle_time import IdleTime
from vllmd.engine.liveness.reading import PageAnswer, Reading
from vllmd.engine.process.asleep import ANOTHER, Asleep
from vllmd.engine.process.run_state import Run, RunState, RunStates
from vllmd.engine.restart.policy import Hold
from vllmd.engine.restart.state_file import RestartState, RestartStateFile
from vllmd.engine.state_machine import ENDED, ENDING, State, Trigger, transition
from vllmd.events.base import emit
from vllmd.events.engine import (
    EngineHeld,
    EngineProblemFound,
    EngineReleased,
    EngineStateChanged,
)
from vllmd.util.clock import STEP_S, Clock, Moment
from vllmd.util.within import Within

SAVE_S = 2.0


class EngineState(EngineStart):
    """State, phase, problem and counts of one engine.

    What is in `known` outlives the daemon and the boot, what is true of a run outlives the daemon:
    both are written down with every change.
    """

    def __init__(
        self,
        engine: str,
        clock: Clock,
        memory: RestartStateFile,
        run_states: RunStates | None = None,
    ) -> None:
        self.log = structlog.get_logger().bind(engine=engine)
        self._clock, self.memory = clock, memory
        self._run_states = run_states or RunStates()
        self.known: RestartState = memory.load()
        self.state = State.STOPPED
        self._since = Moment.now(clock)
        self.run: Run | None = None
        """What runs, or is being started."""
        self.is_over = False
        """That run has ended, and it is looked into why."""
        self.phase: str | None = None
        self.phases: dict[str, float] = {}
        """When each phase of this start was reached, in monotonic seconds; empty if its beginning
        was not seen."""
        self.start_fails = False
        """The start under way has said that it fails: no phase is reached any more."""
        self.sizes: dict[str, int] = {}
        """What the engine said of the memory it takes: see `loading/memory_sizes.py`."""
        self.problem: str | None = None
        self.requests: tuple[int, int] | None = None
        """Requests that run and that wait, as the last page showed them; None if that is long ago,
        or there was none."""
        self.asleep: Asleep | None = None
        """How it was put to sleep; None if it is awake."""
        self.sleep_changed_at = -math.inf
        """When it fell asleep or woke last, in watched seconds: a page of before says nothing."""
        self.idle = IdleTime()
        self.answers = Answers(self._keep)
        self.start_duration_s: float | None = None
        self.ready_s = 0.0
        """How long the last run had been ready when it ended."""
        self._ready_at: float | None = None
        self._no_step_since: float | None = None
        self.rank_doubt: str | None = None
        """Which data parallel rank does nothing with what it was asked, and may be busy."""
        self.room_wait: MemoryWait | None = None
        """What a start waits for that is to be made."""
        self.starts_short = False
        """Whether this start is made although too little GPU memory seems to be free."""
        self._retry_at: Moment | None = None
        self._time_of_day_s = clock.time() - clock.monotonic()

    @property
    def since(self) -> float:
        """When it came into its state, in seconds since the epoch."""
        return self._since.shown(self._clock)

    @property
    def awaited_memory(self) -> Shortage | None:
        """What memory of a GPU a start waits for, once that was said."""
        wait = self.room_wait
        return wait.shortage if wait is not None and wait.words is not None else None

    @property
    def has_served(self) -> bool:
        """Whether this run was ready before."""
        return self._ready_at is not None

    def _kept_of(self, run_id: str) -> RunState | None:
        kept = self._run_states.load(self._clock)
        return kept if kept is not None and kept.run.run_id == run_id else None

    def had_served(self, run_id: str) -> bool:
        """Tell whether a run was ready, as this daemon or the one before it knew."""
        if self.run is not None:
            return self.run.run_id == run_id and self.has_served
        return (kept := self._kept_of(run_id)) is not None and kept.ready_at is not None

    def slept(self, run_id: str) -> bool:
        """Tell whether a run slept when it was last looked at, by this daemon or the one before."""
        kept = self if self.run is not None else self._kept_of(run_id)
        return kept is not None and kept.state is State.SLEEPING

    def save(self) -> None:
        """Write down what is to outlive the daemon."""
        self.memory.save(self.known, runs=self.run is not None)

    async def saved(self) -> None:
        """Wait until that is written down, or the disk does not take it; but not for long."""
        await self.memory.saved(SAVE_S)
        await self._run_states.saved(SAVE_S)

    def counted(self, end: Exit) -> bool:
        """Tell whether an end was noted before: the daemon died before it forgot the run."""
        last = self.known.last_exit
        return last is not None and bool(end.run_id) and last.run_id == end.run_id

    def to(self, event: Trigger) -> None:
        """Change the state as `event` says."""
        before, self.state = self.state, transition(self.state, event)
        if self.state is State.READY:
            self.asleep = None
        self.known.transitions[event, self.state] += 1
        self.save()
        emit(
            self.log,
            EngineStateChanged(
                state=str(self.state),
                before=str(before),
                cause=str(event),
                after_s=round(self._since.age_s(self._clock), 3),
            ),
        )
        self._since = Moment.now(self._clock)
        self._keep()

    def rest(self, asleep: Asleep | None) -> None:
        """Note how it is put to sleep, before it is; or that it is not."""
        self.asleep = asleep
        self._keep()

    def rests_by_another(self, level: int) -> None:
        """Note that somebody else put it to sleep."""
        self.asleep = Asleep(level, ANOTHER, self._clock.time())
        self.to(Trigger.SLEPT)

    def begin_anew(self) -> None:
        """Forget the state after a mistake in the supervisor, if nothing of the engine is found."""
        if self.state not in ENDED:
            self.state, self._since = State.STOPPED, Moment.now(self._clock)
            self._over()

    # --- a run that goes on ------------------------------------------------------------------

    async def read_kept(self, within: Within) -> None:
        """Read what an earlier daemon knew of a run, before anybody asks."""
        await self._run_states.read(within)

    def kept(self) -> Run | None:
        """Return the run that an earlier daemon knew of, whether it goes on or not."""
        kept = self._run_states.load(self._clock)
        return kept.run if kept is not None and kept.state not in ENDED else None

    def resume(self, run_id: str, *, ending: bool) -> bool:
        """Go on with a run as it was known before: by this daemon, or by the one before it.

        `ending` if its shim ends it. One that was to be drained, and was not told so yet, serves.

        Returns: whether anything was known of it; the state is as before if not.
        """
        if self.run is None or self.run.run_id != run_id:
            kept = self._kept_of(run_id)
            if kept is None or kept.state in ENDED:
                return False
            self._take(kept)
        self.is_over = False
        if ending:
            self._set(State.STOPPING)
        elif self.asleep is not None:
            self._set(State.SLEEPING)  # or about to be: it is asked
        elif self.state in ENDING:
            self._set(State.READY if self.has_served else State.LOADING)
        return True

    def _set(self, state: State) -> None:
        if state is not self.state:
            self.state, self._since = state, Moment.now(self._clock)
            self._keep()

    def _take(self, kept: RunState) -> None:
        self.run, self.state, self._since = kept.run, kept.state, kept.since
        self._ready_at, self.start_duration_s = kept.ready_at, kept.start_duration_s
        self.phase, self.phases = kept.phase, dict(kept.phases)
        self.sizes, self.asleep = dict(kept.sizes), kept.asleep
        self.answers.take_up(kept.wrong)

    def _keep(self) -> None:
        if self.run is not None:
            self._run_states.save(
                RunState(
                    self.run,
                    self.state,
                    self._since,
                    self._ready_at,
                    self.start_duration_s,
                    self.phase,
                    dict(self.phases),
                    dict(self.sizes),
                    self.asleep,
                    self.answers.wrong,
                )
            )

    def _over(self) -> None:
        """Forget what was true of the run."""
        self._run_states.forget()
        self.is_over = False
        self.run = self._ready_at = self.phase = None
        self.start_fails = self.starts_short = False
        self.sizes = {}
        self.requests = self._no_step_since = self.rank_doubt = self.asleep = None
        self.answers.over()

    # --- an end ------------------------------------------------------------------------------

    def show_step(self, no_step_s: float | None) -> None:
        """Note for how long no step was made, if that is worth a word."""
        self._no_step_since = None if no_step_s is None else self._clock.monotonic() - no_step_s

    @property
    def no_step_s(self) -> float | None:
        """For how long requests run without a step, if that is well above the longest before."""
        since = self._no_step_since
        return None if since is None else self._clock.monotonic() - since

    def show(self, reading: Reading) -> None:
        """Note the requests in flight; a page that is late for once leaves what was known."""
        if reading.answer is PageAnswer.PAGE:
            self.requests = self.answers.requests(reading)

    def found(self, problem: str) -> None:
        """Note what a person has to know or do; logged when it is new."""
        if problem != self.problem:
            emit(self.log, EngineProblemFound(problem=problem))
        self.problem = problem

    def ended(self, end: Exit) -> None:
        """Note the end of a run, once."""
        known = self.known
        if not self.counted(end):
            emit(self.log, exits.event_of(end), level="info" if end.requested else "error")
            known.exits[end.label, end.requested] += 1
            if not end.requested:
                known.requests_lost += sum(self.requests or ())
            if end.diagnosis is not None:
                known.causes[end.diagnosis.cause] += 1
            known.last_exit = end
        now = self._clock.monotonic()
        self.ready_s = now - self._ready_at if self._ready_at is not None else 0.0
        self._over()
        self.save()

    def hold(self, hold: Hold) -> None:
        """Note that the engine is not started until something changes."""
        self.known.hold = hold
        self.save()
        emit(self.log, EngineHeld(cause=hold.cause, reason=hold.reason, retry_at=hold.retry_at))

    def follow_clock(self) -> None:
        """Move failures and a hold by what the time of day was set by: their ages stay right."""
        time_of_day_s = self._clock.time() - self._clock.monotonic()
        step_s, known = time_of_day_s - self._time_of_day_s, self.known
        if abs(step_s) < STEP_S:
            return
        self._time_of_day_s = time_of_day_s
        known.past = known.past.moved(step_s)
        known.hold = known.hold.moved(step_s) if known.hold else None
        self.save()

    def retry_at(self, longest_s: float) -> Moment | None:
        """Return when a held engine is tried again; never, if None.

        A clock that is set meanwhile, or was wrong before a boot, moves it by `longest_s` at most.
        """
        hold = self.known.hold
        if hold is None or hold.retry_at is None:
            return None
        if self._retry_at is None or self._retry_at.wall != hold.retry_at:
            now = Moment.now(self._clock)
            left_s = min(max(0.0, hold.retry_at - now.wall), longest_s)
            self._retry_at = Moment(now.monotonic + left_s, hold.retry_at)
        return self._retry_at

    def release(self, why: str) -> Hold | None:
        """Note that a hold ends, and return it."""
        hold, self.known.hold = self.known.hold, None
        if hold is not None:
            emit(self.log, EngineReleased(why=why, cause=hold.cause))
            self.save()
        return hold
