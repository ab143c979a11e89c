import asyncio
import threading
from collections.abc import Generator

import pytest

from vllmd.traces.loop_steps import MAX_WAITING, LoopScheduler, ScheduledRequest, Work, in_thread
from vllmd.traces.refusal import BusyError


def steps(name: str, count: int, told: list[str]) -> Generator[None, None, str]:
    for _ in range(count):
        told.append(name)
        yield
    return name.upper()


async def test_small_requests_take_turns_and_others_run_between_steps() -> None:
    turns = LoopScheduler()
    told: list[str] = []

    async def read(name: str, count: int) -> str:
        async with ScheduledRequest(turns) as place:
            return await place.run(steps(name, count, told))

    async def other() -> None:
        for _ in range(20):
            told.append(".")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        a, b = tasks.create_task(read("a", 3)), tasks.create_task(read("b", 1))
        tasks.create_task(other())
    assert (a.result(), b.result()) == ("A", "B")
    assert [each for each in told if each != "."] == ["a", "b", "a", "a"]
    assert "aa" not in "".join(told), "something else ran between two steps"


async def test_large_requests_come_one_after_another_and_only_so_many_wait() -> None:
    turns = LoopScheduler()
    told: list[str] = []

    async def read(number: int) -> None:
        async with ScheduledRequest(turns) as place:
            await place.run(steps(str(number), 3, told), large=True)

    waiting = [asyncio.create_task(read(number)) for number in range(MAX_WAITING + 2)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results].count(BusyError) == 1
    later = "".join(told[MAX_WAITING + 2 :])
    assert all(f"{number}{number}" in later for number in range(MAX_WAITING + 1))
    assert turns.waiting == 0
    assert not turns.large.locked()


async def test_a_large_request_that_is_cancelled_lets_the_next_go_on() -> None:
    turns = LoopScheduler()
    async with ScheduledRequest(turns) as first:
        await first.be_large()

        async def wait() -> None:
            async with ScheduledRequest(turns) as place:
                await place.be_large()

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert turns.waiting == 0
    async with ScheduledRequest(turns) as place:
        await place.be_large()


async def test_in_thread_ends_with_its_thread_also_when_cancelled() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(10)
        ended.append(True)
        raise ValueError("of the thread")

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
    assert await in_thread(lambda: 5) == 5


class Worker:
    def __init__(self, count: int, told: list["Worker"]) -> None:
        self.left = count
        self.told = told

    def handle(self) -> bool:
        self.told.append(self)
        self.left -= 1
        return self.left > 0


async def test_work_goes_round_until_nothing_is_left() -> None:
    work = Work()
    told: list[Worker] = []
    one, two = Worker(3, told), Worker(1, told)
    work.add(one)
    work.add(two)
    for _ in range(20):
        await asyncio.sleep(0)
    assert told == [one, two, one, one]
    again = Worker(1, told)
    work.add(again)
    await asyncio.sleep(0.01)
    assert told[-1] is again


async def test_work_of_a_worker_that_fails_is_not_the_end_of_the_others() -> None:
    class Broken(Worker):
        def handle(self) -> bool:
            raise ValueError("a mistake")

    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: problems.append(about))
    work = Work()
    told: list[Worker] = []
    work.add(Broken(1, told))
    work.add(one := Worker(2, told))
    for _ in range(20):
        await asyncio.sleep(0)
    assert told == [one, one]
    assert len(problems) == 1
