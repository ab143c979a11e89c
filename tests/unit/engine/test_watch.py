import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.helpers.clock import FakeClock
from tests.helpers.make import spec
from tests.helpers.shims import FakeShim
from vllmd.engine.ledger import Ledger
from vllmd.engine.state import Event, State
from vllmd.engine.watch import LOADING_POLL_S, SILENT_POLLS, Probes, Watch


class Scene:
    def __init__(self, directory: Path) -> None:
        self.answers = False
        self.owner: bool | None = True
        self.clock = FakeClock()
        self.ledger = Ledger("chat", self.clock)
        self.ledger.to(Event.START)
        self.ledger.to(Event.SPAWNED)
        self.run = FakeShim(spec(directory, ["x"])).run
        self.run["started_at"] = self.clock.time()
        self.log = Path(self.run["log"])
        probes = Probes(self._ask, self._ask, lambda _: self.owner, lambda: None)
        self.watch = Watch(self.ledger, probes, self.clock, 5.0, 8000)

    def is_in(self, state: State) -> bool:
        return self.ledger.state is state

    async def _ask(self) -> bool:
        return self.answers


@asynccontextmanager
async def watching(directory: Path, *, adopted: bool = False) -> AsyncIterator[Scene]:
    scene = Scene(directory)
    task = asyncio.create_task(scene.watch.run(scene.run, adopted=adopted))
    yield scene
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_run_reads_phases_until_the_api_answers(tmp_path: Path) -> None:
    async with watching(tmp_path) as scene:
        scene.log.write_text("Starting to load model x...\n")
        await scene.clock.advance(LOADING_POLL_S)
        assert (scene.ledger.state, scene.ledger.phase) == (State.LOADING, "weights")
        scene.answers = True
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.is_in(State.READY)
        assert scene.ledger.start_duration_s == 2 * LOADING_POLL_S


async def test_run_adopted_engine_has_no_start_duration(tmp_path: Path) -> None:
    async with watching(tmp_path, adopted=True) as scene:
        scene.answers = True
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.is_in(State.READY)
        assert scene.ledger.start_duration_s is None


async def test_run_foreign_server_on_the_port_is_not_ready(tmp_path: Path) -> None:
    async with watching(tmp_path) as scene:
        scene.answers, scene.owner = True, False
        await scene.clock.advance(10)
        assert scene.is_in(State.LOADING)
        assert "port 8000 is answered by a process that is not this engine" in str(
            scene.ledger.problem
        )
        scene.owner = None
        await scene.clock.advance(1)
        assert scene.is_in(State.READY)
        assert scene.ledger.problem is None


async def test_run_silence_must_last_and_ends(tmp_path: Path) -> None:
    async with watching(tmp_path) as scene:
        scene.answers = True
        await scene.clock.advance(1)
        scene.answers = False
        await scene.clock.advance(5.0 * (SILENT_POLLS - 1))
        assert scene.is_in(State.READY)
        await scene.clock.advance(5.0)
        assert scene.is_in(State.UNREACHABLE)
        await scene.clock.advance(50)
        scene.answers = True
        await scene.clock.advance(5.0)
        assert scene.is_in(State.READY)
