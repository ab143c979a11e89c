import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock, settle
from vllmd.eventlog.bus import Event
from vllmd.events.daemon import NotificationFailed
from vllmd.events.engine import EngineExited
from vllmd.notify.webhook import QUEUE, TRIES, Outbox, Webhook

URL = "https://hooks.example.org/s3cret"


def failure(cause: str = "killed", engine: str = "chat") -> Event:
    return Event(5.0, EngineExited.name, "error", engine, {"requested": False, "cause": cause})


class Server:
    """Answers with what a test gives it, then with 200."""

    def __init__(self, *answers: int | Exception | httpx.Response) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, object]] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)


@asynccontextmanager
async def sending(server: Server, clock: FakeClock) -> AsyncIterator[Outbox]:
    outbox = Outbox()
    outbox.wanted = True
    transport = httpx.MockTransport(server.handle)
    webhook = Webhook(outbox, URL, "json", clock, timeout_s=5, transport=transport)
    task = asyncio.create_task(webhook.run())
    await settle()
    yield outbox
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], clock: FakeClock) -> None:
    for _ in range(3000):
        if condition():
            return
        await clock.advance(1)
    raise AssertionError("never")


async def test_notices_are_sent_in_order() -> None:
    server, clock = Server(), FakeClock()
    async with sending(server, clock) as outbox:
        for cause in ("killed", "gpu_fault"):
            outbox.put(failure(cause))
        outbox.put(Event(6.0, "engine.phase_reached", "info", "chat"))
        await until(lambda: outbox.outcomes["sent"] == 2, clock)
    assert [body["cause"] for body in server.bodies] == ["killed", "gpu_fault"]


async def test_busy_or_unreachable_server_is_tried_again_with_growing_pauses() -> None:
    retry = httpx.Response(429, headers={"retry-after": "30"})
    server = Server(503, httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), retry)
    clock = FakeClock()
    async with sending(server, clock) as outbox:
        outbox.put(failure())
        await until(lambda: outbox.outcomes["sent"] == 1, clock)
    assert clock.slept == [1.0, 2.0, 4.0, 30.0]
    assert outbox.outcomes["failed"] == 0


@pytest.mark.parametrize(("answers", "tries"), [([404], 1), ([500] * 20, TRIES)])
async def test_notice_that_cannot_be_sent_is_counted_and_said_without_the_address(
    answers: list[int], tries: int
) -> None:
    server, clock = Server(*answers), FakeClock()
    with capture_logs() as logs:
        async with sending(server, clock) as outbox:
            outbox.put(failure())
            await until(lambda: outbox.outcomes["failed"] == 1, clock)
    assert len(server.bodies) == tries
    (entry,) = logs
    assert (entry["event"], entry["host"]) == (NotificationFailed.name, "hooks.example.org")
    assert "s3cret" not in str(logs)


async def test_queue_is_bounded_and_the_oldest_gives_way() -> None:
    clock = FakeClock()
    outbox = Outbox()
    outbox.put(failure("unheard"))  # nobody wants it yet
    outbox.wanted = True
    for number in range(QUEUE + 5):
        outbox.put(failure(str(number), engine=f"e{number}"))
    assert len(outbox.waiting) == QUEUE
    assert outbox.outcomes["dropped"] == 5
    assert outbox.waiting[0].engine == "e5"
    assert clock.slept == []


async def test_outbox_outlives_its_sender() -> None:
    """A reload may bring another address; what waits is sent there."""
    outbox, clock = Outbox(), FakeClock()
    outbox.wanted = True
    server = Server()
    transport = httpx.MockTransport(server.handle)

    async def sender(event: Event | None, sent: int) -> None:
        webhook = Webhook(outbox, URL, "json", clock, timeout_s=5, transport=transport)
        task = asyncio.create_task(webhook.run())
        await settle()
        if event is not None:
            outbox.put(event)
        await until(lambda: outbox.outcomes["sent"] == sent, clock)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await sender(failure("killed"), 1)
    outbox.put(failure("gpu_fault"))
    await sender(None, 2)
    await sender(failure("stalled"), 3)
