"""A host that starves vllmd, simulated: real judges and supervisors on a clock that a test holds.

The event loop is asyncio's own. Its selector moves a virtual clock to the next timer instead of
waiting, and then further, by what the loop is late: the process was stopped, or got no CPU. Engines
are functions of that clock, so that what they show depends on when they were asked, not on when the
answer was noticed.
"""

import asyncio
import contextlib
import os
import random
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import attrs
import httpx
import structlog

from tests.helpers.make import engine as configured
from tests.helpers.shims import FakeShim
from vllmd.config import command
from vllmd.daemon.engine_probes import parse_ranks, read
from vllmd.engine.assembly import Settings
from vllmd.engine.context import Site
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.monitor import Probes
from vllmd.engine.liveness.reading import Activity, Answer, Reading
from vllmd.engine.restart.load_slots import Turns
from vllmd.engine.state_machine import Event, State
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.supervisor import Supervisor
from vllmd.scrape.page import Page, PageSource
from vllmd.shim.protocol import Spec
from vllmd.util.loop_lag import LoopLag

T = TypeVar("T")
HOUR_S = 3600.0
NEVER_S = 1e9
HEALTH_TIMEOUT_S = 5.0
SLACK_S = 180.0
"""Polls, fresh looks, diagnoses."""
LOOK_S = 10.0
"""What a poll without an answer takes, and a fresh look at its end."""


# --- the loop --------------------------------------------------------------------------------


class Lateness:
    """How late the loop is: quiet for a while, then slow, stopped in bursts, or frozen."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._until = 0.0
        self._kind = "calm"
        self._next_stop = NEVER_S
        self.total_s = 0.0

    def at(self, now: float) -> float:
        """Return how much later than `now` the loop goes on."""
        dice = self._dice
        if now >= self._until:
            self._kind = dice.choice(["calm", "slow", "heavy", "bursts", "frozen", "frozen"])
            self._until = now + dice.uniform(60, 1200)
            self._next_stop = now + dice.uniform(0, 60)
        late_s = 0.0
        if self._kind == "slow" and dice.random() < 0.5:
            late_s = dice.uniform(0, 0.4)
        elif self._kind == "heavy" and dice.random() < 0.3:
            late_s = dice.uniform(0, 4)
        elif self._kind in ("bursts", "frozen") and now >= self._next_stop:
            often = self._kind == "bursts"
            late_s = dice.uniform(0.3, 10) if often else dice.uniform(0, 120)
            pause_s = dice.uniform(0.2, 4) if often else dice.expovariate(1 / 60)
            self._next_stop = now + late_s + pause_s
        self.total_s += late_s
        return late_s


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits, and while it is late."""

    def __init__(self, lateness: Lateness) -> None:
        self.now = 0.0
        self.lateness = lateness
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Do it at once: a thread's time is not the clock's."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            done.set_exception(error)
        return done


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._idle = 0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout is None:
            found = super().select(1)
            self._idle = 0 if found else self._idle + 1
            if self._idle > 5:
                waiting = [repr(task) for task in asyncio.all_tasks(self._loop)]
                raise RuntimeError("nothing will ever happen again: " + "; ".join(waiting))
        elif not found and timeout:
            self._loop.now += timeout
        self._loop.now += self._loop.lateness.at(self._loop.now)
        return found


class VirtualClock:
    """Monotonic time as the loop has it; the time of day is set forth and back, too."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset_s = 1_000_000_000.0

    def monotonic(self) -> float:
        return self._loop.now

    def time(self) -> float:
        return self._loop.now + self.offset_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# --- engines ---------------------------------------------------------------------------------


@attrs.frozen
class Pattern:
    """What an engine does for a while."""

    until: float
    running: int = 0
    steps_per_s: float = 0.0
    core_cpu: float = 0.0
    api_cpu: float = 0.003
    answers_after_s: float = 0.01
    """How long a page takes; `NEVER_S` while the API is too busy, until the end of this."""
    sleeping: bool = False


class SimulatedEngine:
    """An engine as a function of time, asked in the order of time."""

    def __init__(self, dice: random.Random, stall_s: float, hang_s: float) -> None:
        self._dice = dice
        self._stall_s = stall_s
        self._hang_s = hang_s
        self.hang: str | None = None
        self.hung_at = NEVER_S
        self.hung_late_s = 0.0
        self.looks_lost = 0
        """Fresh looks since it hangs that said nothing: for each, one more poll is waited for."""
        self.loaded_at = 0.0
        self._at = 0.0
        self._steps = 0.0
        self._cpu = [0.0, 0.0]
        self._pattern = Pattern(0.0)
        self.mute_until = 0.0
        """When it answered slowly, or not at all, for the last time."""

    def start(self, now: float, load_stall_s: float, *, hangs: bool) -> None:
        """Begin to load."""
        self._move(now)
        self.hang, self.hung_at, self.looks_lost = None, NEVER_S, 0
        self._steps, self._pattern = 0.0, Pattern(now)
        self.loaded_at = now + self._dice.uniform(1, 0.8 * load_stall_s)
        if hangs:
            self.hang, self.hung_at, self.loaded_at = "load", now, NEVER_S
            self._pattern = Pattern(NEVER_S, api_cpu=0.0)

    def freeze(self, now: float, kind: str) -> None:
        """Hang from now on: core, spin, api, refused or rest."""
        self._move(now)
        self.hang, self.hung_at, self.looks_lost = kind, now, 0
        if kind in ("core", "spin"):
            cpu = 1.0 if kind == "spin" else 0.0
            self._pattern = Pattern(NEVER_S, running=1, core_cpu=cpu)
        else:
            self._pattern = Pattern(NEVER_S, api_cpu=0.0)

    def activity(self, now: float) -> Activity:
        self._move(now)
        return Activity(self._cpu[0], self._cpu[1], 0, at=now)

    def page(self, asked: float) -> tuple[float, bytes]:
        """Return after how many seconds a page that is asked for comes, and what it shows.

        Raises: ConnectionRefusedError.
        """
        if self.hang == "refused" or asked < self.loaded_at:
            raise ConnectionRefusedError(111, "nobody listens")
        if self.hang == "api":
            return NEVER_S, b""
        self._move(asked)
        after_s = self._pattern.answers_after_s
        if after_s >= NEVER_S:
            after_s = self._pattern.until - asked + 0.1
        if after_s > 1:
            self.mute_until = asked + after_s
        self._move(asked + min(after_s, 0.01))
        asleep = int(self._pattern.sleeping)
        text = (
            f'vllm:iteration_tokens_total_count{{engine="0"}} {int(self._steps)}\n'
            f'vllm:num_requests_running{{engine="0"}} {self._pattern.running}\n'
            f'vllm:engine_sleep_state{{engine="0",sleep_state="discard_all"}} {asleep}\n'
        )
        return after_s, text.encode()

    def complete(self, asked: float) -> float:
        """Return after how many seconds a completion of one token that is asked for comes."""
        if self.hang is not None or asked < self.loaded_at:
            return NEVER_S
        self._move(asked)
        self._steps += 1
        return self._dice.uniform(0.02, 2)

    def _move(self, now: float) -> None:
        while self._at < now:
            if self._at >= self._pattern.until and self.hang is None:
                self._pattern = self._next(self._at)
            until = min(now, self._pattern.until)
            seconds = until - self._at
            self._steps += self._pattern.steps_per_s * seconds
            self._cpu[0] += self._pattern.api_cpu * seconds
            self._cpu[1] += self._pattern.core_cpu * seconds
            self._at = until

    def _next(self, now: float) -> Pattern:  # noqa: PLR0911 - one for each kind
        """Draw what comes next; after each step that took long another begins."""
        dice = self._dice
        self._steps = float(int(self._steps) + 1)
        kind = dice.choice(["idle", "idle", "decode", "prefill", "quiet", "slow", "mute", "sleep"])
        before = self._pattern
        if (before.running and not before.steps_per_s) or before.answers_after_s > 1:
            kind = "decode"  # two of them in a row may be longer than a limit
        used = dice.uniform(0.3, 4)
        if kind == "idle":
            return Pattern(now + dice.uniform(5, 1800))
        if kind == "decode":
            return Pattern(now + dice.uniform(2, 600), 3, 20.0, used, 0.3)
        if kind == "prefill":
            return Pattern(now + dice.uniform(1, 0.9 * self._hang_s), 1, 0.0, used)
        if kind == "quiet":
            return Pattern(now + dice.uniform(0.5, 0.9 * self._stall_s), 1)
        if kind == "slow":
            slow_s = dice.uniform(0.2, 4.5)
            return Pattern(now + dice.uniform(5, 300), 200, 20.0, used, 0.9, slow_s)
        if kind == "mute":
            return Pattern(now + dice.uniform(5, 0.8 * self._hang_s), 200, 9.0, used, 0.9, NEVER_S)
        return Pattern(now + dice.uniform(5, 900), sleeping=True)


class SimulatedSource(PageSource):
    """The page of a simulated engine: asked, answered and read in turns of the loop."""

    engine_of: SimulatedEngine
    loop: VirtualLoop

    async def _read(self) -> bytes:
        await turns(2)
        try:
            after_s, content = self.engine_of.page(self.loop.now)
        except ConnectionRefusedError as error:
            raise httpx.ConnectError("all attempts failed") from error
        await asyncio.sleep(after_s)
        await turns(2)
        return content


async def turns(count: int) -> None:
    """Take turns of the loop, each of which may be late."""
    for _ in range(count):
        await asyncio.sleep(0)


class NothingKept:
    """In the place of the pages of the last minutes."""

    def add(self, page: Page, at: float) -> None:
        """Keep nothing."""


class SimulatedShims:
    """Spawns shims without processes, and tells when an engine begins to load."""

    def __init__(self, spawned: Callable[[FakeShim], None]) -> None:
        self._spawned = spawned

    async def spawn(self, spec: Spec) -> None:
        shim = FakeShim(spec)
        await shim.listen()
        self._spawned(shim)

    def reap(self) -> None:
        """Have nothing to collect."""


@attrs.define
class Found:
    """What a run of the simulation found."""

    engine_s: float = 0.0
    late_s: float = 0.0
    hangs: int = 0
    looks: int = 0
    """Fresh looks at engines that were well: doubts that came to nothing."""
    stalled: list[str] = attrs.field(factory=list)
    """Engines that were well and were called stalled."""
    killed: list[str] = attrs.field(factory=list)
    """Engines that were well and were killed."""
    unreachable: int = 0
    """Engines that answered promptly and were called unreachable."""
    found_s: dict[str, list[float]] = attrs.field(factory=dict)
    """By kind of hang, after how many seconds in which the loop was not late it was ended."""
    missed: list[str] = attrs.field(factory=list)
    """Hangs that were not ended within their limit and the slack."""

    def add(self, other: "Found") -> None:
        for field in attrs.fields(Found):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            if field.name == "found_s":
                for kind, seconds in its.items():
                    mine.setdefault(kind, []).extend(seconds)
            else:
                setattr(self, field.name, mine + its)


class Life:
    """One simulated engine with its supervisor."""

    def __init__(self, host: "Host", number: int) -> None:
        dice, self._host = host.dice, host
        self.name = f"e{number}"
        self.stall_s = dice.choice([5.0, 10.0, 30.0, 120.0])
        self.hang_s = self.stall_s * 5
        self.load_stall_s = dice.choice([20.0, 120.0])
        self.poll_s = dice.choice(host.polls)
        self.canary = dice.random() < 0.5
        self.engine = SimulatedEngine(dice, self.stall_s, self.hang_s)
        self._shim: FakeShim | None = None
        given = configured(
            f"port = {20000 + number}\nunready_s = 0\ndrain_s = 1\nstop_grace_s = 1\n"
            "restart = { initial_s = 1, max_s = 2, max_failures = 1000 }\n"
            f"[engines.chat.liveness]\nstall_s = {self.stall_s}\nhang_s = {self.hang_s}\n"
            f"load_stall_s = {self.load_stall_s}\ncanary = {str(self.canary).lower()}\n"
            "canary_every_s = 60\ndiagnose_s = 1\n"
        )
        folder = host.folder / self.name
        folder.mkdir()
        self.source = SimulatedSource("chat", "http://x", host.client, host.clock, **host.lagging)
        self.source.engine_of, self.source.loop = self.engine, host.loop
        settings = Settings(
            given,
            command.build(given),
            Site(
                directory=folder / "run",
                log_path=folder / "chat.log",
                state_dir=folder / "state",
                spawner=SimulatedShims(self._spawned),
                stopped=StoppedEngines(folder / "stopped.json", "boot"),
                turns=Turns(),
                clock=host.clock,
                poll_s=self.poll_s,
                chance=lambda: 0.0,
                **host.site_more(folder),
            ),
            self._probes(),
        )
        self.supervisor = Supervisor(settings)
        self._follow_states()

    def _probes(self) -> Probes:
        return Probes(
            loading=self._loading,
            serving=self._serving,
            owns_port=lambda _: True,
            forget=self.source.forget,
            activity=lambda _shim, _engine: self.engine.activity(self._host.loop.now),
            canary=self._complete if self.canary else None,
            **self._host.probes_more(self),
        )

    async def _loading(self) -> bool:
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await turns(2)
                after_s, _ = self.engine.page(self._host.loop.now)
                await asyncio.sleep(after_s)
                await turns(2)
                return True
        return False

    async def _serving(self) -> Reading:
        return await read(self.source, NothingKept(), self._host.clock)  # type: ignore[arg-type]

    async def _complete(self) -> str | None:
        await turns(2)
        await asyncio.sleep(self.engine.complete(self._host.loop.now))
        await turns(2)
        return None

    async def look_afresh(self, canary: bool) -> FreshLook:
        """Look as a process of its own does, and count what it could not tell."""
        found = await self._look_afresh(canary)
        self.engine.looks_lost += found.answer is Answer.UNKNOWN
        return found

    async def _look_afresh(self, canary: bool) -> FreshLook:
        """Look as a process of its own does, which may not start, or be late."""
        host, dice = self._host, self._host.dice
        if self.engine.hang is None:
            host.found.looks += 1
        luck = dice.random()
        if luck < 0.15:
            return FreshLook(Answer.UNKNOWN, problem="could not be started")
        await asyncio.sleep(0.05)
        asked = host.loop.now
        completed = canary and self.engine.complete(asked) <= 5
        try:
            after_s, content = self.engine.page(asked + (5 if canary and not completed else 0))
        except ConnectionRefusedError:
            return FreshLook(Answer.REFUSED, answered=completed, canary=completed)
        await asyncio.sleep(min(after_s, 5))
        if after_s <= 5:
            ranks = parse_ranks(content.decode())
            return FreshLook(Answer.PAGE, ranks, answered=True, canary=completed)
        if luck < 0.35:
            return FreshLook(Answer.UNKNOWN, problem="was late itself")
        return FreshLook(Answer.NONE, answered=completed, canary=completed)

    def _spawned(self, shim: FakeShim) -> None:
        self._shim = shim
        host = self._host
        hangs = host.dice.random() < 0.05
        self.engine.start(host.loop.now, self.load_stall_s, hangs=hangs)
        self.engine.hung_late_s = host.loop.lateness.total_s
        host.found.hangs += hangs
        shim.stops = _Stops(self._killed)

    def hang(self) -> None:
        """Let it hang in some way, if it serves and its page says so."""
        host, kinds = self._host, ["core", "spin", "api", "refused"]
        if self.engine.hang or self.supervisor.status.state is not State.READY:
            return
        kind = host.dice.choice([*kinds, "rest"] if self.canary else kinds)
        self.engine.freeze(host.loop.now, kind)
        self.engine.hung_late_s = host.loop.lateness.total_s
        host.found.hangs += 1

    def _killed(self) -> None:
        found, engine, now = self._host.found, self.engine, self._host.loop.now
        if engine.hang is None:
            found.killed.append(f"{self.name} at {now:.0f} s: {self.supervisor.status.problem}")
            return
        found.found_s.setdefault(engine.hang, []).append(self._watched_s())
        self._check_missed()
        engine.start(now, self.load_stall_s, hangs=False)

    def _watched_s(self) -> float:
        """Return for how long it has hung while the loop was not late."""
        late_s = self._host.loop.lateness.total_s - self.engine.hung_late_s
        return self._host.loop.now - self.engine.hung_at - late_s

    def _check_missed(self) -> None:
        kind = self.engine.hang
        limits = {"load": self.load_stall_s, "spin": self.hang_s, "rest": self.stall_s + 60}
        limit_s = limits.get(str(kind), self.stall_s) * 1.5 + SLACK_S
        limit_s += self.engine.looks_lost * (self.poll_s + LOOK_S)
        if kind is not None and self._watched_s() > limit_s:
            self._host.found.missed.append(
                f"{self.name}: {kind}, {self._watched_s():.0f} s watched, limit {limit_s:.0f} s"
            )

    def end(self) -> None:
        """Look at the end whether a hang was missed."""
        self._check_missed()

    def _follow_states(self) -> None:
        ledger, found = self.supervisor._ledger, self._host.found
        to = ledger.to

        def follow(event: Event) -> None:
            now = self._host.loop.now
            if self.engine.hang is None and event is Event.STALLED:
                found.stalled.append(f"{self.name} at {now:.0f} s: {ledger.problem}")
            if event is Event.WENT_SILENT and self.engine.hang is None:
                found.unreachable += now - self.engine.mute_until > 60
            to(event)

        ledger.to = follow  # type: ignore[method-assign]


class _Stops(list[float]):
    """The stops that a shim was asked for, heard of."""

    def __init__(self, heard: Callable[[], None]) -> None:
        super().__init__()
        self._heard = heard

    def append(self, grace_s: float) -> None:
        self._heard()
        super().append(grace_s)


class Host:
    """One starved host with some engines."""

    def __init__(
        self, folder: Path, seed: int, engines: int, polls: tuple[float, ...] = (5.0, 15.0, 30.0)
    ) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.polls = polls
        self.found = Found()
        self._engines = engines
        self.loop = VirtualLoop(Lateness(random.Random(seed + 1)))
        self.clock = VirtualClock(self.loop)
        self.client = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: httpx.Response(500))
        )
        self.lag = LoopLag(self.clock)

    @property
    def lagging(self) -> dict[str, Any]:
        """What a page's source is given to know how late the loop is."""
        return {"lag": self.lag}

    def site_more(self, folder: Path) -> dict[str, Any]:
        """Return what a supervisor is given besides."""
        return {"lag": self.lag, "shared_memory": folder}

    def probes_more(self, life: Life) -> dict[str, Any]:
        """Return what is asked besides."""
        return {"fresh": life.look_afresh}

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside the engines."""
        return [self.lag.run()]

    def run(self, hours: float) -> Found:
        """Live through some hours; returns what was found."""
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._live(hours * HOUR_S))
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
        self.found.late_s = self.loop.lateness.total_s
        return self.found

    async def _live(self, seconds: float) -> None:
        lives = [Life(self, number) for number in range(self._engines)]
        tasks = [asyncio.ensure_future(each) for each in self.background()]
        tasks += [asyncio.ensure_future(life.supervisor.run()) for life in lives]
        while self.loop.now < seconds:
            await asyncio.sleep(self.dice.uniform(60, 1200))
            self.dice.choice(lives).hang()
            self.clock.offset_s += self.dice.choice([0, 0, -3600, 7200, 30, 86400])
            for task in tasks:
                if task.done():
                    task.result()
        for life in lives:
            life.end()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=HOUR_S)
        for life in lives:
            life.supervisor.let_go()
            if life._shim is not None and life._shim.is_listening:
                life._shim.vanish()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=HOUR_S)
        self.found.engine_s = self.loop.now * len(lives)


def simulate(
    folder: Path, seed: int, *, engines: int, hours: float, host: type[Host] = Host, **more: Any
) -> Found:
    """Simulate one host.

    Returns: what was found; the log is silent meanwhile.
    """
    before, fsync = structlog.get_config(), os.fsync
    os.fsync = lambda _: None  # type: ignore[assignment]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    try:
        return host(folder, seed, engines, **more).run(hours)
    finally:
        structlog.configure(**before)
        os.fsync = fsync
