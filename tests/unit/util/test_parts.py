"""How parts are run and isolated; with the whole daemon in daemon/test_daemon_parts.py."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock, settle
from vllmd.events.daemon import PartFailed
from vllmd.util.parts import (
    MANY,
    STEADY_S,
    WINDOW_S,
    Part,
    PartRunner,
    RunningParts,
    describe,
    run_main,
)

ERRORS = [
    OSError(errno.EMFILE, "Too many open files"),
    KeyError("cpu_s"),
    RuntimeError("a mistake"),
    MemoryError(),
    SystemExit(3),
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    BaseExceptionGroup("of a task group", [KeyboardInterrupt()]),
]


class Work:
    """Runs that end as a test says; the last way is kept."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends = list(ends)
        self.begun = 0

    async def run(self) -> None:
        self.begun += 1
        end = self.ends.pop(0) if self.ends else asyncio.Event()
        if isinstance(end, BaseException):
            raise end
        if end is not None:
            await end.wait()


async def kept(clock: FakeClock, part: Part) -> tuple[PartRunner, asyncio.Task[None]]:
    parts = PartRunner(clock)
    task = asyncio.create_task(parts.keep(part))
    await settle()
    return parts, task


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


@pytest.mark.parametrize("error", ERRORS, ids=describe)
async def test_keep_whatever_is_raised_is_told_counted_and_tried_again(
    error: BaseException,
) -> None:
    clock, work = FakeClock(), Work(error)
    with capture_logs() as logs:
        parts, task = await kept(clock, Part("gpu_reader", work.run))
    (told,) = logs
    assert told["event"] == PartFailed.name
    assert (told["part"], told["problem"]) == ("gpu_reader", describe(error))
    assert (told["failures"], told["retry_s"]) == (1, 1.0)
    assert told["exc_info"] is error
    assert [each.part for each in parts.failing()] == ["gpu_reader"]
    await clock.advance(1)
    assert work.begun == 2
    assert parts.failures() == {"gpu_reader": 1}
    assert parts.failing() == []
    await ended(task)


async def test_keep_pauses_grow_to_a_bound_and_begin_anew_after_a_steady_run() -> None:
    clock = FakeClock()
    steady = asyncio.Event()
    work = Work(*[RuntimeError("x")] * 8)
    work.ends += [steady, RuntimeError("y")]  # type: ignore[list-item]
    _, task = await kept(clock, Part("p", work.run, may_end=False))
    await clock.advance(1 + 2 + 4 + 8 + 16 + 32 + 60 + 60)
    assert clock.slept == [1, 2, 4, 8, 16, 32, 60, 60]
    await clock.advance(STEADY_S)
    steady.set()
    await settle()
    assert clock.slept[-1] == 1
    await ended(task)


async def test_keep_a_part_with_a_shorter_bound_is_tried_as_often() -> None:
    clock, work = FakeClock(), Work(*[RuntimeError("x")] * 4)
    _, task = await kept(clock, Part("p", work.run, longest_pause_s=2.0))
    await clock.advance(1 + 2 + 2 + 2)
    assert clock.slept == [1, 2, 2, 2]
    await ended(task)


async def test_keep_a_part_that_may_end_is_done_then_and_another_has_failed() -> None:
    parts, task = await kept(FakeClock(), Part("webhook", Work(None).run, may_end=True))
    assert task.done()
    assert parts.failures() == {"webhook": 0}
    parts, task = await kept(FakeClock(), Part("logs", Work(None).run))
    assert parts.failures() == {"logs": 1}
    assert "should go on" in parts.failing()[0].problem
    await ended(task)


async def test_keep_a_cancellation_from_within_is_a_failure_one_from_outside_passes() -> None:
    async def waits_for_what_somebody_cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    parts, task = await kept(FakeClock(), Part("p", waits_for_what_somebody_cancelled))
    assert parts.failures() == {"p": 1}
    await ended(task)
    parts, task = await kept(FakeClock(), Part("p", Work().run))
    await ended(task)
    assert parts.failures() == {"p": 0}


async def test_keep_lets_go_after_a_failure_and_isolates_that_too() -> None:
    clock, work = FakeClock(), Work(RuntimeError("x"))

    def fails() -> None:
        raise ValueError("cannot let go")

    parts, task = await kept(clock, Part("engine:chat", work.run, failed=fails))
    assert parts.failures() == {"engine:chat": 2}
    await clock.advance(1)
    assert work.begun == 2
    await ended(task)


async def test_failing_is_what_failed_often_of_late_and_not_for_ever() -> None:
    clock, work = FakeClock(), Work(*[RuntimeError("x")] * 3)
    parts, task = await kept(clock, Part("p", work.run))
    await clock.advance(1 + 2 + 4)
    (found,) = parts.failing()
    assert (found.failures, found.retry_at) == (3, None)
    await clock.advance(WINDOW_S)
    assert parts.failing() == []
    await ended(task)


def test_note_of_what_goes_on_is_told_once_in_a_while_and_counted_always() -> None:
    clock = FakeClock()
    parts = PartRunner(clock)
    with capture_logs() as logs:
        for _ in range(1000):
            parts.note("disk", OSError("full"))
        clock.now += 61
        parts.note("disk", OSError("full"))
    assert [each["failures"] for each in logs] == [1, 1001]
    assert parts.failures() == {"disk": 1001}


def test_note_never_raises_where_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vllmd.util.parts._log", type("Log", (), {"error": staticmethod(fails)}))
    parts = PartRunner()
    parts.note("disk", ValueError("x"))
    assert parts.failures() == {"disk": 1}


def test_isolated_counts_and_goes_on() -> None:
    parts = PartRunner()
    with parts.isolated("usage"):
        raise KeyError("x")
    assert parts.failures() == {"usage": 1}


async def test_what_nobody_waited_for_is_told_by_the_loop() -> None:
    parts, loop = PartRunner(), asyncio.get_running_loop()
    loop.set_exception_handler(parts.take_from_loop)

    def fails() -> None:
        raise KeyError("in a callback")

    loop.call_soon(fails)
    await settle()
    assert parts.failures() == {"event_loop": 1}


async def test_forget_forgets_a_part_that_is_not_configured_any_more() -> None:
    parts = PartRunner(FakeClock())
    parts.know("disk")
    runs: list[Callable[[], Awaitable[None]]] = [Work(None).run, Work(None).run]
    for name, run in zip(("engine:old", "engine:chat"), runs, strict=True):
        await parts.keep(Part(name, run, may_end=True))
    parts.forget("engine:old")
    assert parts.failures() == {"disk": 0, "engine:chat": 0}


async def test_running_keeps_what_is_in_both_sets_and_begins_the_rest() -> None:
    kept, gone, new, other = Work(), Work(), Work(), Work()
    done: list[str] = []
    running = RunningParts(PartRunner(FakeClock()), lambda: done.append("x"))
    running.become([Part("a", kept.run), Part("b", gone.run), Part("c", new.run)])
    await settle()
    running.become([Part("a", kept.run), Part("c", other.run)])
    await settle()
    assert (kept.begun, gone.begun, new.begun, other.begun) == (1, 1, 1, 1)
    assert (running.is_over("a"), running.is_over("b")) == (False, True)
    assert done == []
    await running.close()
    assert running.is_over("a")


async def test_running_tells_when_a_part_is_done_and_begins_it_again_if_it_is_wanted() -> None:
    work, done = Work(None, None), list[str]()
    running = RunningParts(PartRunner(FakeClock()), lambda: done.append("x"))
    for times in (1, 2):
        running.become([Part("a", work.run, may_end=True)])
        await running.wait(["a"])
        await settle()
        assert (work.begun, len(done)) == (times, times)


async def test_keep_a_part_that_only_fails_does_not_keep_the_daemon_from_ending() -> None:
    clock, work = FakeClock(), Work(*[RuntimeError("x")] * 100)
    parts, task = await kept(clock, Part("engine:chat", work.run, may_end=True))
    await clock.advance(1 + 2 + 4 + 8)
    assert not task.done()
    parts.ending = True
    await clock.advance(200)
    assert task.done()
    assert work.begun == 5 + MANY


def test_run_main_goes_on_when_a_task_or_a_callback_ends_the_loop() -> None:
    parts, done = PartRunner(), list[str]()

    def leave() -> None:
        raise SystemExit(4)

    async def child() -> None:
        raise SystemExit(3)

    async def main() -> None:
        task = asyncio.create_task(child())
        asyncio.get_running_loop().call_soon(leave)
        await settle()
        assert isinstance(task.exception(), SystemExit)
        done.append("x")

    run_main(main(), parts)
    assert done == ["x"]
    assert parts.failures() == {"event_loop": 2}


@pytest.mark.parametrize("error", [SystemExit(3), RuntimeError("x"), KeyboardInterrupt()])
def test_run_main_raises_what_the_coroutine_does(error: BaseException) -> None:
    async def main() -> None:
        raise error

    parts = PartRunner()
    with pytest.raises(type(error)):
        run_main(main(), parts)
    assert parts.failures() == {}
