"""A starved host, simulated: real judges and supervisors on a clock that a test holds."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import attrs
import httpx
import structlog

from tests.helpers.late_gpus import LateGpus
from tests.helpers.late_loop import Lateness, VirtualClock, VirtualLoop
from tests.helpers.make import engine as configured
from tests.helpers.probes import ProbesOfATest
from tests.helpers.shims import FakeShim
from tests.helpers.simulated_engine import (
    NothingKept,
    SimulatedEngine,
    SimulatedShims,
    SimulatedSource,
    turns,
)
from vllmd.config import command
from vllmd.daemon.engine_probes import parse_ranks, read
from vllmd.engine.assembly import EngineSettings
from vllmd.engine.context import EngineContext
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, Reading
from vllmd.engine.restart.load_slots import LoadSlots
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.supervisor import Supervisor
from vllmd.util.loop_lag import LoopLag

HOUR_S = 3600.0
HEALTH_TIMEOUT_S = 5.0
POLLS_S = (5.0, 15.0, 30.0)
SLACK_S = 180.0
"""Polls, fresh looks, diagnoses."""
LOOK_S = 10.0
"""What a poll without an answer takes, and a fresh look at its end."""


# --- the loop --------------------------------------------------------------------------------


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
    by_gpus: int = 0
    """Hangs that the readings of a GPU told."""
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


class _SimulatedProbes(ProbesOfATest):
    """What the daemon asks of a simulated engine."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        self.canary = life.complete if life.canary else None

    async def loading(self) -> bool:
        engine, loop = self._life.engine, self._life.host.loop
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await turns(2)
                after_s, _ = engine.page(loop.now)
                await asyncio.sleep(after_s)
                await turns(2)
                return True
        return False

    async def serving(self) -> Reading:
        return await read(self._life.source, NothingKept(), self._life.host.clock)  # type: ignore[arg-type]

    async def look_afresh(self, canary: bool) -> FreshLook:
        return await self._life.look_afresh(canary)

    def activity(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        return self._life.engine.activity(self._life.host.loop.now)

    def forget(self) -> None:
        self._life.source.forget()


class Life:
    """One simulated engine with its supervisor."""

    def __init__(self, host: "Host", number: int) -> None:
        dice, self.host = host.dice, host
        self.name = f"e{number}"
        self.stall_s = dice.choice([5.0, 10.0, 30.0, 120.0])
        self.hang_s = self.stall_s * 5
        self.load_stall_s = dice.choice([20.0, 120.0])
        self.poll_s = dice.choice(POLLS_S)
        self.canary = dice.random() < 0.5
        self.engine = SimulatedEngine(dice, self.stall_s, self.hang_s)
        self.gpus = LateGpus(dice, self.engine, host.loop) if host.gpus else None
        self._shim: FakeShim | None = None
        gpu_stall_s = dice.choice([5.0, 15.0, 40.0]) if host.gpus else 40.0
        given = configured(
            f"port = {20000 + number}\nunready_s = 0\ndrain_s = 1\nstop_grace_s = 1\n"
            "restart = { initial_s = 1, max_s = 2, max_failures = 1000 }\n"
            f"[engines.chat.liveness]\nstall_s = {self.stall_s}\nhang_s = {self.hang_s}\n"
            f"load_stall_s = {self.load_stall_s}\ncanary = {str(self.canary).lower()}\n"
            f"canary_every_s = 60\ndiagnose_s = 1\ngpu_stall_s = {gpu_stall_s}\n"
        )
        folder = host.folder / self.name
        folder.mkdir()
        self.source = SimulatedSource("chat", "http://x", host.client, host.clock, lag=host.lag)
        self.source.engine_of, self.source.loop = self.engine, host.loop
        settings = EngineSettings(
            given,
            command.build(given),
            EngineContext(
                directory=folder / "run",
                log_path=folder / "chat.log",
                state_dir=folder / "state",
                spawner=SimulatedShims(self._spawned),
                stopped=StoppedEngines(folder / "stopped.json", "boot"),
                load_slots=LoadSlots(),
                clock=host.clock,
                poll_s=self.poll_s,
                chance=lambda: 0.0,
                lag=host.lag,
                shared_memory=folder,
                gpu=self.gpus or EngineGpus(),
            ),
            _SimulatedProbes(self),
        )
        self.supervisor = Supervisor(settings)
        self._follow_states()

    async def complete(self) -> str | None:
        await turns(2)
        await asyncio.sleep(self.engine.complete(self.host.loop.now))
        await turns(2)
        return None

    async def look_afresh(self, canary: bool) -> FreshLook:
        """Look as a process of its own does, and count what it could not tell."""
        found = await self._look_afresh(canary)
        self.engine.looks_lost += found.answer is PageAnswer.UNKNOWN
        return found

    async def _look_afresh(self, canary: bool) -> FreshLook:
        """Look as a process of its own does, which may not start, or be late."""
        host, dice = self.host, self.host.dice
        if self.engine.hang is None:
            host.found.looks += 1
        luck = dice.random()
        if luck < 0.15:
            return FreshLook(PageAnswer.UNKNOWN, problem="could not be started")
        await asyncio.sleep(0.05)
        asked = host.loop.now
        completed = canary and self.engine.complete(asked) <= 5
        try:
            after_s, content = self.engine.page(asked + (5 if canary and not completed else 0))
        except ConnectionRefusedError:
            return FreshLook(PageAnswer.REFUSED, answered=completed, canary=completed)
        await asyncio.sleep(min(after_s, 5))
        if after_s <= 5:
            ranks = parse_ranks(content.decode())
            return FreshLook(PageAnswer.PAGE, ranks, answered=True, canary=completed)
        if luck < 0.35:
            return FreshLook(PageAnswer.UNKNOWN, problem="was late itself")
        return FreshLook(PageAnswer.NONE, answered=completed, canary=completed)

    def _spawned(self, shim: FakeShim) -> None:
        self._shim = shim
        host = self.host
        hangs = host.dice.random() < 0.05
        self.engine.start(host.loop.now, self.load_stall_s, hangs=hangs)
        self.engine.hung_late_s = host.loop.lateness.total_s
        host.found.hangs += hangs
        shim.stops = _Stops(self._killed)

    def hang(self) -> None:
        """Let it hang in some way, if it serves and its page says so."""
        host, kinds = self.host, ["core", "spin", "api", "refused"]
        if self.engine.hang or self.supervisor.status.state is not State.READY:
            return
        kind = host.dice.choice([*kinds, "rest"] if self.canary else kinds)
        self.engine.freeze(host.loop.now, kind)
        self.engine.hung_late_s = host.loop.lateness.total_s
        host.found.hangs += 1

    def _killed(self) -> None:
        found, engine, now = self.host.found, self.engine, self.host.loop.now
        if engine.hang is None:
            found.killed.append(f"{self.name} at {now:.0f} s: {self.supervisor.status.problem}")
            return
        found.found_s.setdefault(engine.hang, []).append(self._watched_s())
        found.by_gpus += "GPU" in (self.supervisor.status.problem or "")
        self._check_missed()
        engine.start(now, self.load_stall_s, hangs=False)

    def _watched_s(self) -> float:
        """Return for how long it has hung while the loop was not late."""
        late_s = self.host.loop.lateness.total_s - self.engine.hung_late_s
        return self.host.loop.now - self.engine.hung_at - late_s

    def _check_missed(self) -> None:
        kind = self.engine.hang
        limits = {"load": self.load_stall_s, "spin": self.hang_s, "rest": self.stall_s + 60}
        limit_s = limits.get(str(kind), self.stall_s) * 1.5 + SLACK_S
        limit_s += self.engine.looks_lost * (self.poll_s + LOOK_S)
        if kind is not None and self._watched_s() > limit_s:
            self.host.found.missed.append(
                f"{self.name}: {kind}, {self._watched_s():.0f} s watched, limit {limit_s:.0f} s"
            )

    def end(self) -> None:
        """Look at the end whether a hang was missed."""
        self._check_missed()

    def _follow_states(self) -> None:
        engine_state, found = self.supervisor._state, self.host.found
        to = engine_state.to

        def follow(event: Trigger) -> None:
            now = self.host.loop.now
            if self.engine.hang is None and event is Trigger.STALLED:
                found.stalled.append(f"{self.name} at {now:.0f} s: {engine_state.problem}")
            if event is Trigger.WENT_SILENT and self.engine.hang is None:
                found.unreachable += now - self.engine.mute_until > 60
            to(event)

        engine_state.to = follow  # type: ignore[method-assign]


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

    def __init__(self, folder: Path, seed: int, engines: int, *, gpus: bool = False) -> None:
        self.folder = folder
        self.gpus = gpus
        self.dice = random.Random(seed)
        self.found = Found()
        self._engines = engines
        self.loop = VirtualLoop(Lateness(random.Random(seed + 1)))
        self.clock = VirtualClock(self.loop)
        self.client = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: httpx.Response(500))
        )
        self.lag = LoopLag(self.clock)

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
        tasks = [asyncio.ensure_future(self.lag.run())]
        tasks += [asyncio.ensure_future(life.supervisor.run()) for life in lives]
        tasks += [asyncio.ensure_future(life.gpus.read()) for life in lives if life.gpus]
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
            life.supervisor.detach()
            if life._shim is not None and life._shim.is_listening:
                life._shim.vanish()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=HOUR_S)
        self.found.engine_s = self.loop.now * len(lives)


def simulate(folder: Path, seed: int, *, engines: int, hours: float, gpus: bool = False) -> Found:
    """Simulate one host; with `gpus`, the readings of GPUs are part of each verdict.

    Returns: what was found; the log is silent meanwhile.
    """
    before, fsync = structlog.get_config(), os.fsync
    os.fsync = lambda _: None  # type: ignore[assignment]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    try:
        return Host(folder, seed, engines, gpus=gpus).run(hours)
    finally:
        structlog.configure(**before)
        os.fsync = fsync
