import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine, spec
from tests.helpers.shims import FakeShim
from vllmd.engine.engine_state import EngineState
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.stopping.drain import ENDING_S, MARGIN_S, Drain
from vllmd.events.engine import EngineDrained


class Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.running = 2
        self.answer = PageAnswer.PAGE
        self.engine = engine("unready_s = 5\ndrain_s = 30\nstop_grace_s = 10")
        self.engine_state = EngineState("chat", self.clock, RestartStateFile(folder / "chat.json"))
        for event in (Trigger.START, Trigger.SPAWNED, Trigger.ANSWERED):
            self.engine_state.to(event)
        self.shim = FakeShim(spec(folder, ["x"]))
        self.shim.exits_when_stopped = False
        self.drain = Drain(self.engine, self.engine_state, self.clock, self._read)

    async def _read(self) -> Reading:
        return Reading(0.0, self.answer, {"0": RankProgress(1, self.running, 0)})

    async def passes(self, seconds: float) -> None:
        """Move the clock in steps small enough for the real socket to keep up."""
        for _ in range(int(seconds * 2)):
            await self.clock.advance(0.5)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def ending(folder: Path) -> AsyncIterator[tuple[Scene, ShimClient, "asyncio.Task[bool]"]]:
    scene = Scene(folder)
    await scene.shim.listen()
    client = await ShimClient.connect(folder)
    assert client is not None
    task = asyncio.create_task(scene.drain.end(client))
    await asyncio.sleep(0.01)
    yield scene, client, task
    task.cancel()
    client.close()
    scene.shim.vanish()


async def test_end_readiness_is_red_before_the_engine_is_told(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, _):
        assert scene.engine_state.state is State.DRAINING
        await scene.passes(4)
        assert scene.shim.stops == []
        await scene.passes(2)
        assert scene.shim.stops == [40]  # drain_s + stop_grace_s
        assert scene.engine_state.state is State.DRAINING


async def test_end_waits_for_requests_and_shows_how_many_are_left(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, task):
        await scene.passes(8)
        assert scene.engine_state.requests == (2, 0)
        scene.running = 1
        await scene.passes(2)
        assert scene.engine_state.requests == (1, 0)
        scene.running = 0
        with capture_logs() as logs:
            await scene.passes(3)
        assert scene.engine_state.state is State.STOPPING
        assert scene.shim.stops == [40, 10]  # from now on its grace counts
        (drained,) = [e for e in logs if e["event"] == EngineDrained.name]
        assert (drained["requests_before"], drained["requests_left"]) == (2, 0)
        assert 3 <= drained["after_s"] <= 8
        await scene.shim.end(0, requested=True)
        await scene.passes(1)
        assert task.result() is True


async def test_end_drain_has_a_limit(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, _):
        await scene.passes(5 + 30 + 3)
        assert scene.engine_state.state is State.STOPPING
        assert scene.shim.stops == [40, 10]


async def test_end_page_that_cannot_be_read_shortens_nothing(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, _):
        await scene.passes(8)
        scene.answer, scene.running = PageAnswer.NONE, 0
        await scene.passes(15)
        assert scene.engine_state.state is State.DRAINING


async def test_end_page_that_cannot_be_read_at_first_is_not_taken_for_no_request(
    tmp_path: Path,
) -> None:
    """Seen on a real engine: under full load its page is not answered for many seconds."""
    scene = Scene(tmp_path)
    scene.answer = PageAnswer.NONE
    await scene.shim.listen()
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    task = asyncio.create_task(scene.drain.end(client))
    await asyncio.sleep(0.01)
    await scene.passes(20)
    assert scene.shim.stops == [40]
    assert scene.engine_state.state is State.DRAINING
    scene.answer, scene.running = PageAnswer.PAGE, 0
    await scene.passes(3)
    assert scene.shim.stops == [40, 10]
    task.cancel()
    client.close()
    scene.shim.vanish()


async def test_end_shim_that_does_nothing_is_reported(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, task):
        scene.running = 0
        await scene.passes(5 + 3 + 10 + MARGIN_S)
        assert task.result() is False


async def test_end_shim_that_is_just_ending_and_does_not_answer_is_waited_for(
    tmp_path: Path,
) -> None:
    async with ending(tmp_path) as (scene, _, task):
        scene.shim.refuses = True
        await scene.passes(5 + ENDING_S / 2)
        await scene.shim.end(1)
        await scene.passes(1)
        assert task.result() is True
        assert scene.shim.process.poll() is None
        assert scene.engine_state.problem is None


async def test_end_shim_that_does_not_answer_is_asked_by_a_signal(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, task):
        scene.shim.refuses = True
        await scene.passes(5 + ENDING_S)
        assert scene.shim.process.wait(5) == -signal.SIGTERM
        assert not task.done()
        assert scene.engine_state.state is State.STOPPING
        await scene.passes(30 + 10 + MARGIN_S)
        assert task.result() is False  # and its shim is killed


@pytest.mark.parametrize(
    ("event", "grace_s"), [(Trigger.WENT_SILENT, 40), (Trigger.SLEPT, 40), (Trigger.STALLED, 10)]
)
async def test_end_engine_that_is_not_ready_may_still_have_requests_unless_it_is_stalled(
    tmp_path: Path, event: Trigger, grace_s: float
) -> None:
    scene = Scene(tmp_path)
    scene.engine_state.to(event)
    scene.shim.exits_when_stopped = True
    await scene.shim.listen()
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    assert await scene.drain.end(client)
    assert scene.shim.stops == [grace_s]
    assert scene.engine_state.state is State.STOPPING


@pytest.mark.parametrize(
    ("answer", "grace_s"),
    [(PageAnswer.REFUSED, 10), (PageAnswer.NONE, 40), (PageAnswer.PAGE, 40)],
)
async def test_end_engine_that_loads_has_no_requests_while_nobody_listens(
    tmp_path: Path, answer: PageAnswer, grace_s: float
) -> None:
    """A load that is stopped was waited for as if it drained: 45 s, and then killed."""
    scene = Scene(tmp_path)
    scene.engine_state = EngineState("chat", scene.clock, RestartStateFile(tmp_path / "new.json"))
    scene.engine_state.to(Trigger.START)
    scene.engine_state.to(Trigger.SPAWNED)
    scene.drain = Drain(scene.engine, scene.engine_state, scene.clock, scene._read)
    scene.answer = answer
    scene.shim.exits_when_stopped = True
    await scene.shim.listen()
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    assert await scene.drain.end(client)
    assert scene.shim.stops == [grace_s]


async def test_end_engine_that_died_while_red_is_gone(tmp_path: Path) -> None:
    async with ending(tmp_path) as (scene, _, task):
        await scene.passes(2)
        await scene.shim.end(0)
        await scene.passes(1)
        assert task.result() is True
        assert scene.shim.stops == []
        assert scene.engine_state.state is State.DRAINING


async def test_kill_waits_for_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.shim.exits_when_stopped = True
    await scene.shim.listen()
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    assert await scene.drain.kill(client)
    assert scene.shim.stops == [0]


@pytest.mark.parametrize("ends", [True, False])
async def test_kill_shim_that_does_not_answer_is_gone_or_is_reported(
    tmp_path: Path, ends: bool
) -> None:
    scene = Scene(tmp_path)
    await scene.shim.listen()
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    scene.shim.refuses = True
    task = asyncio.create_task(scene.drain.kill(client))
    await scene.passes(ENDING_S / 2)
    if ends:
        await scene.shim.end(1)
    await scene.passes(ENDING_S)
    assert task.result() is ends
    assert (scene.engine_state.problem is None) is ends
    client.close()
    scene.shim.vanish()
