"""A wish at any moment is fulfilled: each one is said at each place where a supervisor waits."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.make import spec
from tests.helpers.scene import Scene, running
from tests.helpers.shims import FakeShim
from tests.helpers.stepped import stepped
from vllmd.engine.liveness.monitor import LivenessMonitor, Stall
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, RankProgress, Reading
from vllmd.engine.restart.load_slots import LoadingEngine
from vllmd.engine.state_machine import State

pytestmark = pytest.mark.long

LORA = "ValueError: LoRA rank 32 is greater than max_lora_rank 16."
SETTINGS = "liveness = { stall_s = 20, diagnose_s = 0 }"
NEVER_SOON = "initial_s = 3600, max_s = 3600, max_failures = 6"
STEP_S = 0.5
PATIENCE_S = 60.0
"""An end takes its drain (10 s), and 10 s until it is proven; a pause would be an hour."""
LONG_S = 20_000.0
WORK = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(7, 1, 0)})


class Life:
    """One engine through one kind of trouble, until a wish is said; then nothing goes wrong."""

    def __init__(self, folder: Path, trouble: "Trouble", wishes: tuple[str, ...], at: str) -> None:
        folder.mkdir()
        self.scene = Scene(folder, SETTINGS, restart=NEVER_SOON)
        self.scene.used = ProcessActivity(1.0, 1.0, 1)
        self.trouble = trouble
        self.wishes = wishes
        self.at = at
        self.places: list[str] = []
        self.said_at: float | None = None
        self.ran: str | None = None
        """The run that was followed when the wish was said."""

    def look(self, place: str) -> None:
        """Say the wish if this is the place for it."""
        if place not in self.places:
            self.places.append(place)
        if place == self.at and self.said_at is None:
            supervisor = self.scene.supervisor
            self.said_at = self.scene.clock.now
            self.ran = supervisor.status.run_id
            self.trouble.ends(self)
            for wish in self.wishes:
                getattr(supervisor, wish)()

    async def passes(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, in steps; tell whether it has come to that."""
        goal = self.scene.clock.now + seconds
        while not until() and self.scene.clock.now < goal:
            await self.trouble.acts(self)
            await self.scene.clock.advance(STEP_S)
        return until()

    @property
    def serving(self) -> FakeShim | None:
        alive = [shim for shim in self.scene.spawner.shims if shim.is_listening]
        assert len(alive) <= 1
        return alive[0] if alive else None

    def fulfilled(self) -> bool:
        """Tell whether all is as the last wish wants it."""
        scene, last = self.scene, self.wishes[-1]
        if last == "close":
            return scene.task is not None and scene.task.done() and self.serving is None
        if last == "stop":
            return scene.state is State.STOPPED and self.serving is None
        if scene.state is not State.READY or self.serving is None:
            return False
        return last == "start" or self.serving.spec["run_id"] != self.ran


@attrs.define
class Trouble:
    """What happens to an engine, at most once; `acts` is asked again and again."""

    done: bool = False

    async def begins(self, life: Life) -> None:
        """Make what was there before."""

    async def acts(self, life: Life) -> None:
        """Go on."""

    def ends(self, life: Life) -> None:
        """Be over: whatever was in the way is not any more."""
        self.done = True
        scene = life.scene
        scene.answers, scene.holders, scene.mismatch = True, [], None
        scene.spawner.error = None
        scene.reading = attrs.evolve(scene.reading, answer=PageAnswer.PAGE, ranks={})


class Crash(Trouble):
    """It ends by itself while it serves; GPU memory takes a while to come back."""

    async def acts(self, life: Life) -> None:
        scene = life.scene
        if not self.done and scene.state is State.READY:
            self.done = True
            scene.holders = ["memory"]
            await scene.spawner.last.end(1)
        if scene.state is State.BACKOFF and scene.clock.now > 1003:
            scene.holders = []


class Wall(Trouble):
    """It ends while it loads, of a cause for which it is held."""

    async def begins(self, life: Life) -> None:
        life.scene.answers = False

    async def acts(self, life: Life) -> None:
        if not self.done and life.scene.state is State.LOADING:
            self.done = True
            await life.scene.spawner.last.end(1, tail=[LORA])


class NoSpawn(Trouble):
    """No shim can be started."""

    async def begins(self, life: Life) -> None:
        life.scene.spawner.error = "no such program"


class Stalls(Trouble):
    """It has work and does nothing, and is killed."""

    async def acts(self, life: Life) -> None:
        if not self.done and life.scene.state is State.READY:
            life.scene.reading = WORK


class Mismatch(Trouble):
    """The driver was changed before it starts."""

    async def begins(self, life: Life) -> None:
        life.scene.mismatch = "driver 1 runs, 2 is installed"


class Queued(Trouble):
    """Another engine loads on its GPU first."""

    async def begins(self, life: Life) -> None:
        life.scene.load_slots.take("other", LoadingEngine())

    def ends(self, life: Life) -> None:
        super().ends(life)
        life.scene.load_slots.give_back("other")


class Found(Trouble):
    """It runs already, and ends then."""

    async def begins(self, life: Life) -> None:
        life.scene.directory.mkdir(parents=True)
        shim = FakeShim(spec(life.scene.directory, ["x"], run_id="found"))
        await shim.listen()
        life.scene.spawner.shims.append(shim)

    async def acts(self, life: Life) -> None:
        if not self.done and life.scene.state is State.READY:
            self.done = True
            await life.scene.spawner.last.end(1)


class FoundDead(Trouble):
    """It ended while no daemon was there."""

    async def begins(self, life: Life) -> None:
        life.scene.directory.mkdir(parents=True)
        shim = FakeShim(spec(life.scene.directory, ["x"], run_id="found"))
        shim.run["shim_start_ticks"] = 1  # so that this process is not taken for it
        await shim.listen()
        await shim.end(1)


class Stopped(Trouble):
    """It was asked to end a moment ago, and drains."""

    async def acts(self, life: Life) -> None:
        if not self.done and life.scene.state is State.READY:
            self.done = True
            life.scene.spawner.last.exits_when_stopped = False
            life.scene.supervisor.stop()
        stops = life.serving.stops if life.serving is not None else []
        if len(stops) > 1 or (stops and life.said_at is not None):
            await life.scene.spawner.last.end(0, requested=True)


TROUBLES = (
    *(Trouble, Crash, Wall, NoSpawn, Stalls, Mismatch, Queued, Found, FoundDead),
    Stopped,
)
WISHES = (
    *(("start",), ("stop",), ("restart",), ("close",)),
    *(("stop", "start"), ("start", "stop"), ("restart", "stop"), ("stop", "restart")),
)


@pytest.fixture(autouse=True)
def _threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def here(work: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(0)
        return work(*args)

    monkeypatch.setattr(asyncio, "to_thread", here)


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what plays one life, to its end; returns the life."""
    now: list[Life] = []
    watch = LivenessMonitor.run

    async def watched(self: LivenessMonitor, *args: Any, **more: Any) -> Stall:
        stall: Stall = await stepped(watch(self, *args, **more), now[-1].look)
        return stall

    monkeypatch.setattr(LivenessMonitor, "run", watched)

    async def play(trouble: type[Trouble], wishes: tuple[str, ...] = (), at: str = "") -> Life:
        life = Life(tmp_path / str(len(now)), trouble(), wishes, at)
        now.append(life)
        await life.trouble.begins(life)
        run = life.scene.supervisor.run
        monkeypatch.setattr(life.scene.supervisor, "run", lambda: stepped(run(), life.look))
        async with running(life.scene):
            await life.passes(PATIENCE_S, lambda: life.said_at is not None)
            if wishes and life.said_at is not None:
                found = f"{trouble.__name__}, {' '.join(wishes)} at {at}"
                done = await life.passes(PATIENCE_S, life.fulfilled)
                assert done, f"{found}: {life.scene.supervisor.status}"
                if wishes[-1] == "stop":
                    await life.scene.clock.advance(LONG_S)
                    assert life.fulfilled(), found
        return life

    return play


async def _aside(function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    await asyncio.sleep(0)
    return function(*args, **more)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done in a thread is done at once: a clock that is not real outruns threads."""
    monkeypatch.setattr(asyncio, "to_thread", _aside)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_wish_at_any_moment_is_fulfilled(lives: Any, trouble: type[Trouble]) -> None:
    places = (await lives(trouble)).places
    assert places
    for at in places:
        for wishes in WISHES if at.startswith(">") else WISHES[:4]:
            life = await lives(trouble, wishes, at)
            assert life.said_at is not None or at.startswith("<"), at
