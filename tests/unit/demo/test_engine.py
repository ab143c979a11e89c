import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from vllmd.demo.args import parse_args
from vllmd.demo.engine import DemoEngine, DemoRequest, EngineDeadError
from vllmd.demo.metrics import Metrics


@pytest_asyncio.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DemoEngine]:
    monkeypatch.setenv("VLLMD_STAND_IN_LOAD_S", "0")
    monkeypatch.setenv("VLLMD_STAND_IN_STEP_S", "0.001")
    args = parse_args(["serve", "m"])
    started = DemoEngine(args, Metrics(args))
    await started.start()
    yield started
    if started.process.returncode is None:
        started.process.kill()
    await started.process.wait()


def ignore() -> None:
    """Let a request end."""


async def test_generate_yields_as_many_words_as_asked(engine: DemoEngine) -> None:
    request = DemoRequest(prompt_tokens=3, max_tokens=5)
    words = [word async for word in engine.generate(request, ignore)]
    assert len(words) == request.tokens == 5
    assert engine.running == 0


async def test_killed_core_ends_requests_and_refuses_new_ones(engine: DemoEngine) -> None:
    words = engine.generate(DemoRequest(1, 1_000_000), ignore)
    await anext(words)
    engine.process.send_signal(signal.SIGKILL)
    with pytest.raises(EngineDeadError):
        async for _ in words:
            pass
    await asyncio.wait_for(engine.died.wait(), 5)
    with pytest.raises(EngineDeadError):
        await anext(engine.generate(DemoRequest(1, 1), ignore))


async def test_hung_core_keeps_requests_waiting(engine: DemoEngine) -> None:
    engine.process.send_signal(signal.SIGSTOP)
    words = engine.generate(DemoRequest(1, 1), ignore)
    waiting = asyncio.ensure_future(anext(words))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert not engine.died.is_set()
    engine.process.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(waiting, 5)
    await engine.wait_idle(5)


async def test_start_core_that_dies_while_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLMD_STAND_IN_LOAD_S", "no number")
    args = parse_args(["serve", "m"])
    engine = DemoEngine(args, Metrics(args))
    with pytest.raises(EngineDeadError):
        await engine.start()
    await engine.process.wait()
