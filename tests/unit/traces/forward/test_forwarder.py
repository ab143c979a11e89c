import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.helpers.clock import FakeClock, settle
from vllmd.traces.forward.answer import ExportOutcome, ExportResponse
from vllmd.traces.forward.forwarder import LONGEST_PAUSE_S, PATIENCE_S, Forwarder
from vllmd.traces.forward.queue import Batch, ForwardQueue

SENT, REFUSED = (
    ExportResponse(ExportOutcome.SENT),
    ExportResponse(ExportOutcome.REFUSED, "HTTP 400"),
)
RETRY = ExportResponse(ExportOutcome.RETRY, "ConnectError")


class Backend:
    """A receiver that answers as it is told, the last answer for ever."""

    def __init__(self, *answers: ExportResponse) -> None:
        self.answers = list(answers)
        self.got: list[bytes] = []
        self.closed = False
        self.slow = False

    async def send(self, batch: Batch) -> ExportResponse:
        self.got.append(batch.body)
        if self.slow:
            await asyncio.Event().wait()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def close(self) -> None:
        self.closed = True


class Scene:
    def __init__(self, backend: Backend) -> None:
        self.backend, self.clock, self.queue = backend, FakeClock(), ForwardQueue()
        self.queue.wanted = True
        self.forwarder = Forwarder(self.queue, backend, self.clock, lambda: 0.0)


@asynccontextmanager
async def forwarding(*answers: ExportResponse) -> AsyncIterator[Scene]:
    scene = Scene(Backend(*answers))
    task = asyncio.create_task(scene.forwarder.run())
    await settle()
    yield scene
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_comes_is_sent() -> None:
    async with forwarding(SENT) as scene:
        scene.queue.put(b"a", 2)
        await settle()
        assert scene.backend.got == [b"a"]
        assert scene.queue.outcomes == {"sent": 2, "refused": 0}


async def test_what_comes_meanwhile_is_one_batch() -> None:
    async with forwarding(RETRY, SENT) as scene:
        scene.queue.put(b"a", 1)
        await settle()
        scene.queue.put(b"b", 1)
        scene.queue.put(b"c", 1)
        await scene.clock.advance(1)
        assert scene.backend.got == [b"a", b"a", b"bc"]
        assert scene.queue.outcomes["sent"] == 3
        assert scene.forwarder.problem is None


async def test_pauses_grow_up_to_the_longest() -> None:
    async with forwarding(RETRY) as scene:
        scene.queue.put(b"a", 1)
        await scene.clock.advance(120)
        assert scene.clock.slept[:6] == [1, 2, 4, 8, 16, LONGEST_PAUSE_S]
        assert scene.forwarder.problem == "ConnectError"


async def test_the_receiver_may_ask_for_longer() -> None:
    async with forwarding(ExportResponse(ExportOutcome.RETRY, "HTTP 503", 90.0), SENT) as scene:
        scene.queue.put(b"a", 1)
        await scene.clock.advance(89)
        assert len(scene.backend.got) == 1
        await scene.clock.advance(1)
        assert scene.queue.outcomes["sent"] == 1


async def test_a_batch_is_given_up_after_a_while() -> None:
    async with forwarding(RETRY) as scene:
        scene.queue.put(b"a", 4)
        await scene.clock.advance(PATIENCE_S)
        assert scene.queue.outcomes == {"expired": 4}
        assert sum(scene.clock.slept) <= PATIENCE_S


async def test_what_is_refused_is_not_sent_again() -> None:
    async with forwarding(REFUSED, SENT) as scene:
        scene.queue.put(b"a", 1)
        await settle()
        scene.queue.put(b"b", 1)
        await scene.clock.advance(100)
        assert scene.backend.got == [b"a", b"b"]
        assert scene.queue.outcomes == {"refused": 1, "sent": 1}


async def test_what_is_rejected_of_a_batch_is_counted_and_not_sent_again() -> None:
    async with forwarding(ExportResponse(ExportOutcome.SENT, rejected=2)) as scene:
        scene.queue.put(b"a", 5)
        await scene.clock.advance(100)
        assert scene.backend.got == [b"a"]
        assert scene.queue.outcomes == {"refused": 2, "sent": 3}


async def test_a_dead_backend_for_ten_minutes_holds_no_more_than_the_queue() -> None:
    async with forwarding(RETRY) as scene:
        scene.queue.max_bytes = 1000
        put = 0
        for _ in range(600):
            scene.queue.put(bytes(100), 1)
            put += 1
            await scene.clock.advance(1)
            assert scene.queue.bytes <= 1000
        waiting = sum(batch.spans for batch in scene.queue._waiting)
        outcomes = scene.queue.outcomes
        lost = outcomes["dropped"] + outcomes["expired"]
        assert outcomes["sent"] == 0
        assert 0 <= put - waiting - lost <= 10, "the rest is the batch under way"


async def test_a_cancelled_send_is_in_the_queue_again() -> None:
    scene = Scene(Backend(SENT))
    scene.backend.slow = True
    task = asyncio.create_task(scene.forwarder.run())
    await settle()
    scene.queue.put(b"a", 3)
    await settle()
    assert scene.queue.bytes == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scene.queue.bytes == 1


async def test_flush_sends_what_waits_once_and_closes() -> None:
    scene = Scene(Backend(SENT))
    scene.queue.put(b"a", 3)
    await scene.forwarder.flush(5)
    await scene.forwarder.close()
    assert scene.queue.outcomes["sent"] == 3
    assert scene.backend.closed


async def test_flush_to_a_dead_backend_counts_what_is_lost() -> None:
    scene = Scene(Backend(RETRY))
    scene.queue.put(b"a", 3)
    await scene.forwarder.flush(5)
    assert scene.queue.outcomes == {"dropped": 3}


async def test_flush_without_time_keeps_what_waits() -> None:
    scene = Scene(Backend(SENT))
    scene.backend.slow = True
    scene.queue.put(b"a", 3)
    await scene.forwarder.flush(0)
    assert scene.queue.bytes == 1
