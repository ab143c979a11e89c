"""One engine's sleep: what is wanted of it, and when that is done. Its `run` follows the engine."""

import asyncio
from collections.abc import Callable, Iterable

import attrs

from vllmd.config.model import EngineConfig
from vllmd.engine.context import EngineContext
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.liveness.monitor import LivenessMonitor, Stall
from vllmd.engine.liveness.probes import Probes
from vllmd.engine.probes.sleep_routes import SleepRouteError
from vllmd.engine.process.asleep import ANOTHER
from vllmd.engine.sleeping import refusal, rules
from vllmd.engine.sleeping.changes import SleepChanges, SleepRefusedError
from vllmd.engine.sleeping.refusal import Refused
from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.sleeping.status import SleepStatus
from vllmd.engine.sleeping.turns import Member
from vllmd.engine.sleeping.wish_file import WishFile
from vllmd.engine.sleeping.wishes import Wishes
from vllmd.engine.state_machine import HOLDS, State
from vllmd.errors import HeldError
from vllmd.events.base import emit
from vllmd.events.engine import EngineSleepRefused
from vllmd.shim.protocol import RunRecord
from vllmd.util.clock import wait_event

LOOK_S = 1.0
SAVE_S = 2.0


def _never() -> bool:
    return False


def _always() -> bool:
    return True


class Sleeper:
    """What a supervisor has of its engine's sleep."""

    def __init__(
        self,
        engine: EngineConfig,
        context: EngineContext,
        probes: Probes,
        engine_state: EngineState,
    ) -> None:
        self._state = engine_state
        self._wishes = Wishes(WishFile(context.directory, context.on_disk))
        self._asked = asyncio.Event()
        self._refused: Refused | None = None
        self._taking: Callable[[], bool] = _never
        """Whether it is about to take its GPU memory: to start, or to wake."""
        self._behind: str | None = None
        self._engine, self._context = engine, context
        self.use(engine, context, probes)

    def use(self, engine: EngineConfig, context: EngineContext, probes: Probes) -> None:
        """Take over other settings: what was wanted stays so, if it can sleep."""
        self._drop_overruled()  # by the schedule that there was
        self._engine, self._context = engine, context
        if engine.sleep is None:
            self._wishes.forget()
        gpu, lag, memory = context.gpu, context.lag, context.host_memory
        self._changes = SleepChanges(
            engine, self._state, probes, probes.sleep_routes, gpu, lag, memory
        )
        context.turns.join(self)
        self._asked.set()

    def leave(self) -> None:
        """Take no turns any more, until settings come: nobody follows it."""
        self._context.turns.leave(self)

    # --- what others ask of it -------------------------------------------------------------

    @property
    def name(self) -> str:
        """The engine."""
        return self._engine.name

    @property
    def share(self) -> str | None:
        """By which name it takes turns."""
        return self._engine.sleep.share if self._engine.sleep else None

    @property
    def http_wake(self) -> bool:
        """Whether it may be woken at the exporter's port."""
        return self._engine.sleep is not None and self._engine.sleep.http_wake

    @property
    def holds_turn(self) -> bool:
        """Whether it is awake, or about to be."""
        return self._taking() or self._state.state in HOLDS

    @property
    def status(self) -> SleepStatus | None:
        """What is known now; None if it has no sleep mode, and does not sleep."""
        asleep, config, now = self._state.asleep, self._engine.sleep, self._context.clock.time()
        if config is None and asleep is None:
            return None
        wish, schedule = self._wanted(), config.schedule if config else None
        level = config.level if config else 0
        return SleepStatus(
            level=asleep.level if asleep else level,
            asleep_at=asleep.at if asleep else None,
            by=asleep.by if asleep else None,
            settled=asleep is not None and (asleep.settled or not asleep.ours),
            wanted=None if wish is None else "asleep" if wish.asleep else "awake",
            wanted_by=wish.by if wish else None,
            held_bytes=asleep.held_bytes if asleep else None,
            freed_bytes=asleep.freed_bytes if asleep else None,
            idle_s=self._state.idle.seconds if self._state.state is State.READY else None,
            after_idle_s=config.after_idle_s if config else None,
            schedule=schedule.text if schedule else None,
            changes_at=schedule.changes_at(now) if schedule else None,
            share=self.share,
            turn_of=self._behind,
            refused=self._refused.why if self._refused else None,
            refused_at=self._refused.at if self._refused else None,
        )

    def ask_sleep(self, by: str, level: int | None = None) -> None:
        """Want it asleep. Raises: HeldError: it cannot be; nothing has changed."""
        why = refusal.of_settings(self._engine, level) or refusal.of_state(self._state.state)
        if why is not None:
            raise HeldError(f"{self.name} is not put to sleep: {why}")
        self._say(asleep=True, by=by, level=level, once=True)

    def ask_wake(self, by: str, *, runs: bool = True) -> None:
        """Want it awake; `runs` if it is meant to run.

        Raises: HeldError: it has no sleep mode, and does not sleep; or it was stopped.
        """
        if not runs:
            raise HeldError(f"{self.name} was stopped: 'vllmd start {self.name}' starts it")
        if self._engine.sleep is None and self._state.state is not State.SLEEPING:
            raise HeldError(f"{self.name} is not woken: {refusal.of_settings(self._engine, None)}")
        self._say(asleep=False, by=by, once=True)

    def started(self) -> None:
        """Want it awake, because somebody wants it to run."""
        if self._engine.sleep is not None or self._state.asleep is not None:
            self._say(asleep=False, by=rules.START)

    def give_way(self, to: str) -> None:
        """Want it asleep, because another engine is to be awake; who wanted it before, counts."""
        if self._wants_sleep():
            self._try_now()
        else:
            self._say(asleep=True, by=rules.turn_of(to), once=True)

    def given_back(self, by: str) -> None:
        """Want no more what another engine's turn was the reason of: that one sleeps by itself.

        Without a schedule it sleeps on: nobody wants it awake.
        """
        sleep = self._engine.sleep
        said = self._said_for(by)
        if said is not None and sleep is not None and sleep.schedule is not None:
            self._wishes.forget()
            self._asked.set()

    def need_not(self, to: str) -> None:
        """Want it no more as asleep as another engine's turn wanted it: that one waits no more."""
        if (said := self._said_for(to)) is not None:
            self._wishes.take_back(said)

    def _said_for(self, other: str) -> Wish | None:
        said = self._wishes.said
        return said if said and said.asleep and said.by == rules.turn_of(other) else None

    @property
    def cannot_answer(self) -> str | None:
        """Why it would not even try to fall asleep; None if it would, or soon will."""
        state = self._state.state
        return f"it is {state}" if state in (State.UNREACHABLE, State.STALLED) else None

    @property
    def drains_within_s(self) -> float:
        """How long it may take until it has no requests, or says that it has."""
        return self._engine.unready_s + self._engine.drain_s

    def refused_since(self, at: float) -> str | None:
        """Return why it was not done, if that was after a monotonic time."""
        refused = self._refused
        return refused.why if refused is not None and refused.since >= at else None

    async def saved(self) -> None:
        """Wait until what is wanted is written down, but not for long."""
        await self._wishes.saved(SAVE_S)

    def _say(self, *, asleep: bool, by: str, level: int | None = None, once: bool = False) -> None:
        self._wishes.say(Wish(asleep, by, self._context.clock.time(), level, once))
        self._try_now()

    def _try_now(self) -> None:
        self._refused = None
        self._asked.set()

    def _drop_overruled(self) -> None:
        """Forget what the schedule has changed since: it is not to count without the schedule."""
        sleep, said, now = self._engine.sleep, self._wishes.said, self._context.clock.time()
        if sleep is not None and said is not None and rules.is_overruled(sleep, said, now):
            self._wishes.forget()

    def _wanted(self) -> Wish | None:
        if self._engine.sleep is None:
            return self._wishes.said
        ready = self._state.state is State.READY
        idle_s = self._state.idle.seconds if ready else None
        now = self._context.clock.time()
        return rules.wanted(self._engine.sleep, self._wishes.said, idle_s, now)

    # --- a start, and an end -----------------------------------------------------------------

    def ended(self, end: Exit) -> Exit:
        """Note that a run is over; returns its end with whether it slept, which is kept."""
        self.over()
        return attrs.evolve(end, asleep=not end.requested and self._state.slept(end.run_id))

    def over(self) -> None:
        """Note that no start of it is under way: it has the turn by its state, or has not."""
        self._taking = _never
        self._behind = None

    async def wait_turn(self, may_start: Callable[[], bool], found: Callable[[str], None]) -> None:
        """Wait until it may be started: it is its turn, and it is not to rest."""
        last = self._state.known.last_exit
        while last is not None and last.asleep and may_start() and self._rests():
            found(
                "it ended while it slept, and is started when it is woken ('vllmd wake "
                f"{self.name}'): sleep.restart is false"
            )
            await self._context.clock.sleep(LOOK_S)
        if self.share is None:
            return
        while may_start():
            # one that is to sleep puts nobody to sleep: it loads when nobody else is awake
            why = await self._turn(may_start, lambda: not self._wants_sleep())
            if why is None:
                break
            found(f"it is not started: {why}. That is tried again every {rules.RETRY_S:g} s")
            await self._turn(self._for_a_while(may_start), lambda: False)
        self._behind, self._taking = None, may_start

    def _for_a_while(self, may_go: Callable[[], bool]) -> Callable[[], bool]:
        """Return what ends after `RETRY_S`, or as soon as somebody wants something."""
        clock = self._context.clock
        until = clock.monotonic() + rules.RETRY_S
        self._asked.clear()
        return lambda: may_go() and clock.monotonic() < until and not self._asked.is_set()

    async def _turn(self, may_go: Callable[[], bool], force: Callable[[], bool]) -> str | None:
        """Wait for its turn. Returns: why another does not give way; None if it may go on."""
        context = self._context
        return await context.turns.wait(
            self, context.clock, may_go=may_go, force=force, waits=self._waits
        )

    def _rests(self) -> bool:
        sleep = self._engine.sleep
        return sleep is not None and not sleep.restart and self._wants_sleep()

    def _wants_sleep(self) -> bool:
        wish = self._wanted()
        return wish is not None and wish.asleep

    def _waits(self, ahead: Iterable[Member]) -> None:
        self._behind = next((each.name for each in ahead), None)

    # --- an engine that runs -----------------------------------------------------------------

    async def run(self, run: RunRecord, watch: LivenessMonitor) -> Stall:
        """Follow an engine by `watch`; put it to sleep and wake it as it is wanted.

        Returns: why it is to be killed.
        """
        self.over()
        while True:
            watching = asyncio.create_task(watch.run(run))
            due = asyncio.create_task(self._due())
            try:
                await asyncio.wait({watching, due}, return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    return watching.result()
            finally:
                for task in (watching, due):
                    task.cancel()
                await asyncio.gather(watching, due, return_exceptions=True)
            stall = await self._do(due.result(), run)
            if stall is not None:
                self._taking = _always  # it has its memory until nothing of it is left
                return stall

    async def _due(self) -> Wish | None:
        """Wait until the engine is not as it is wanted.

        Returns: the wish; None if it is not as it was noted: it is awake although vllmd has not
        woken it, or asleep without that vllmd heard it.
        """
        looked_at = self._context.clock.monotonic() - self._context.poll_s
        while True:
            self._asked.clear()
            await self._wishes.read_again()
            self._drop_overruled()
            wish, asleep, state = self._wanted(), self._state.asleep, self._state.state
            settled = state in (State.READY, State.SLEEPING)
            sleeps = state is State.SLEEPING
            if sleeps and asleep and asleep.ours:
                now = self._context.clock.monotonic()
                if now - looked_at >= self._context.poll_s:
                    looked_at = now
                    found = await self._sleeps()
                    if found is False or (found and not asleep.settled):
                        return None
            ours = asleep is not None and asleep.ours
            since = self._state.since if sleeps else None
            due = rules.is_to_change(wish, asleep_since=since, ours=ours)
            if settled and due and not self._is_refused(wish):
                return wish
            if self._engine.sleep is None and state is not State.SLEEPING:
                await self._asked.wait()
            else:
                await wait_event(self._asked, LOOK_S, self._context.clock)

    async def _sleeps(self) -> bool | None:
        try:
            return await self._changes.routes.is_asleep()
        except SleepRouteError:
            return None

    def _is_refused(self, wish: Wish | None) -> bool:
        refused = self._refused
        return refused is not None and self._context.clock.monotonic() < refused.until

    async def _do(self, wish: Wish | None, run: RunRecord) -> Stall | None:
        try:
            if wish is None:
                return await self._complete(run)
            if wish.asleep:
                if wish.by == rules.IDLE:  # once it sleeps it is not idle any more
                    self._wishes.say(attrs.evolve(wish, once=True))
                stall = await self._changes.fall_asleep(wish, run)
                if stall is None and not rules.is_turn(wish):
                    self._context.turns.given_back(self)
                return stall
            return await self._wake(wish, run)
        except SleepRefusedError as error:
            self._refuse(wish, str(error))
            return None

    async def _complete(self, run: RunRecord) -> Stall | None:
        """Deal with one that sleeps or is awake, and this daemon has not heard that of it."""
        asleep = self._state.asleep
        if asleep is not None and not asleep.settled and await self._sleeps():
            await self._changes.settle()
            return None
        if asleep is not None and asleep.settled and self._wants_sleep():
            self._wishes.say(Wish(False, ANOTHER, self._context.clock.time()))
        return await self._changes.complete(run)

    async def _wake(self, wish: Wish, run: RunRecord) -> Stall | None:
        """Wake it, once it is its turn."""
        if self.share is not None:
            why = await self._turn(lambda: not self._wants_sleep(), lambda: True)
            self._behind = None
            if why is not None:
                raise SleepRefusedError(why)
            if self._wants_sleep():
                return None
        self._taking = _always
        try:
            return await self._changes.wake(wish, run)
        finally:
            self._taking = _never

    def _refuse(self, wish: Wish | None, why: str) -> None:
        """Say that it was not done. What was asked once is given up, the rest is tried again."""
        clock = self._context.clock
        now = clock.monotonic()
        self._refused = Refused(why, clock.time(), now, now + rules.RETRY_S)
        if wish is not None and (wish.once or wish.by == rules.IDLE):
            self._wishes.take_back(wish)
        asleep = wish is not None and wish.asleep
        emit(
            self._state.log,
            EngineSleepRefused(
                wanted="asleep" if asleep else "awake", by=wish.by if wish else "", reason=why
            ),
        )
