import asyncio
from collections.abc import Callable

import attrs
import pytest

from tests.helpers.clock import FakeClock, settle
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.restart.load_slots import (
    LEAST_WAIT_S,
    LOOK_S,
    MAX_WAIT_S,
    SPIN_S,
    STILL_S,
    USUAL,
    LoadingEngine,
    LoadSlot,
    LoadSlots,
)

ALL = None
ONE, TWO = frozenset({"0"}), frozenset({"0", "1"})


@pytest.mark.parametrize(
    ("mine", "theirs", "waits"),
    [
        (ALL, ALL, True),
        (ALL, ONE, True),
        (ONE, TWO, True),
        (ONE, frozenset({"1"}), False),
        (frozenset(), ONE, False),
    ],
)
def test_ahead_of_engines_that_share_a_gpu_wait(
    mine: frozenset[str] | None, theirs: frozenset[str] | None, waits: bool
) -> None:
    load_slots, load = LoadSlots(), LoadingEngine(theirs)
    load_slots.take("other", load)
    assert list(load_slots.ahead_of("me", mine)) == ([("other", load)] if waits else [])
    assert list(load_slots.ahead_of("other", theirs)) == []
    load_slots.give_back("other")
    assert list(load_slots.ahead_of("me", mine)) == []


def getting_on(now: float) -> ProcessActivity:
    """Return what a load has used that computes and reads."""
    return ProcessActivity(now, now, int(now) * 100_000)


@attrs.define
class Scene:
    """An engine that loads, and one that waits for it."""

    clock: FakeClock = attrs.field(factory=FakeClock)
    load_slots: LoadSlots = attrs.field(factory=LoadSlots)
    operator_requests: OperatorRequests = attrs.field(factory=OperatorRequests)
    wanted: bool = True
    room: bool | None = None
    phase: str | None = None
    used: Callable[[float], ProcessActivity | None] = getting_on
    said: list[str] = attrs.field(factory=list)

    def loads(self, usual_s: float | None = None) -> "asyncio.Task[None]":
        LoadSlot(
            *(self.load_slots, "other", ALL, self.clock),
            activity=lambda: self.used(self.clock.now),
            phase=lambda: self.phase,
        ).take(usual_s)
        me = LoadSlot(self.load_slots, "me", ALL, self.clock, has_room=lambda: self.room)
        return asyncio.create_task(me.wait(self.operator_requests, lambda: self.wanted, self.say))

    def say(self, words: str) -> None:
        if self.said[-1:] != [words]:
            self.said.append(words)

    async def waited(self, task: "asyncio.Task[None]") -> float:
        """Return how long it waits."""
        began = self.clock.now
        while not task.done():
            await self.clock.advance(1)
            assert self.clock.now - began < 2000
        return self.clock.now - began


async def test_wait_three_engines_load_one_after_another() -> None:
    load_slots, clock = LoadSlots(), FakeClock()
    loading: list[str] = []

    async def load(name: str) -> None:
        load_slot = LoadSlot(load_slots, name, ALL, clock)
        await load_slot.wait(OperatorRequests(), lambda: True, lambda _: None)
        load_slot.take()
        loading.append(name)
        assert len(loading) == 1
        await clock.sleep(60)
        loading.remove(name)
        load_slot.give_back()

    tasks = [asyncio.create_task(load(name)) for name in "abc"]
    await clock.advance(200)
    assert all(task.done() for task in tasks)
    for task in tasks:
        task.result()


async def test_wait_ends_when_the_start_is_not_wanted_any_more() -> None:
    scene = Scene()
    task = scene.loads()
    await settle()
    scene.wanted = False
    scene.operator_requests.add()
    await settle()
    assert task.done()


async def test_wait_room_is_asked_each_second_once_no_load_is_in_the_way() -> None:
    scene = Scene()
    scene.loads().cancel()
    asked: list[float] = []

    def room() -> str | None:
        asked.append(scene.clock.now)
        return None if len(asked) > 3 else "for room" if len(asked) > 1 else ""

    me = LoadSlot(scene.load_slots, "me", ALL, scene.clock)
    waiting = me.wait(scene.operator_requests, lambda: True, scene.say, room)
    task = asyncio.create_task(waiting)
    await scene.clock.advance(10)
    assert asked == []
    scene.load_slots.give_back("other")
    freed = scene.clock.now
    assert await scene.waited(task) == 3
    assert asked == [freed + n for n in range(4)]
    assert scene.said[-1] == "for room"
    assert "" not in scene.said


async def test_wait_says_for_whom_since_when_and_until_when() -> None:
    scene = Scene(clock=FakeClock(0.0))  # 1970-01-12 13:46:40
    task = scene.loads(usual_s=150)
    await scene.clock.advance(100)
    assert scene.said == [
        "waits until other has loaded, with which it shares a GPU: since 13:46:40 UTC, until "
        "13:51:40 UTC at most, or until that load stands still"
    ]
    scene.load_slots.give_back("other")
    await settle()
    assert task.done()


@pytest.mark.parametrize(
    ("usual_s", "most_s"),
    [
        (None, MAX_WAIT_S),
        (100.0, USUAL * 100),
        (3.0, LEAST_WAIT_S),
        (3600.0, MAX_WAIT_S),
    ],
)
async def test_wait_for_a_load_that_gets_on_is_bounded_by_what_it_usually_takes(
    usual_s: float | None, most_s: float
) -> None:
    scene = Scene()
    waited = await scene.waited(scene.loads(usual_s))
    assert most_s <= waited <= most_s + LOOK_S


QUIET = ProcessActivity(5.0, 5.0, 10)


@pytest.mark.parametrize(
    ("used", "most_s"),
    [
        (lambda _: QUIET, STILL_S),
        (lambda now: attrs.evolve(QUIET, api_cpu_s=now), SPIN_S),
        (lambda now: attrs.evolve(QUIET, core_cpu_s=now), SPIN_S),
        (lambda now: attrs.evolve(QUIET, io_bytes=int(now) * 100_000), MAX_WAIT_S),
        (lambda now: attrs.evolve(QUIET, gpu_memory_bytes=int(now)), MAX_WAIT_S),
        (lambda _: None, SPIN_S),
    ],
    ids=["nothing", "API", "core", "bytes", "GPU memory", "not known"],
)
async def test_wait_ends_once_a_load_stands_still(
    used: Callable[[float], ProcessActivity | None], most_s: float
) -> None:
    scene = Scene(used=used)
    waited = await scene.waited(scene.loads())
    assert waited == pytest.approx(most_s, abs=2 * LOOK_S)


@pytest.mark.parametrize("usual_s", [None, 600.0])
async def test_wait_for_a_load_that_begins_to_spin_late_ends_in_time_whatever_it_usually_takes(
    usual_s: float | None,
) -> None:
    scene = Scene()
    task = scene.loads(usual_s)
    await scene.clock.advance(SPIN_S)
    assert not task.done()
    last = getting_on(scene.clock.now)
    scene.used = lambda now: attrs.evolve(last, core_cpu_s=now)
    assert await scene.waited(task) == pytest.approx(SPIN_S, abs=2 * LOOK_S)


async def test_wait_a_load_that_goes_on_after_a_while_is_waited_for() -> None:
    scene = Scene(used=lambda _: QUIET)
    task = scene.loads()
    await scene.clock.advance(STILL_S - LOOK_S)
    scene.used = lambda now: ProcessActivity(now, now, 0)
    await scene.clock.advance(2 * STILL_S)
    assert not task.done()
    scene.phase, scene.used = "weights", lambda _: QUIET
    await scene.clock.advance(STILL_S - LOOK_S)
    scene.phase = "profile"  # it printed, though it used nothing
    await scene.clock.advance(STILL_S - LOOK_S)
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize(
    ("phase", "room", "waits"),
    [
        ("graphs", True, True),
        ("warm_up", True, False),
        ("listening", True, False),
        ("warm_up", False, True),
        ("warm_up", None, True),
        (None, True, True),
    ],
)
async def test_wait_not_for_a_load_that_has_its_memory_while_there_is_room(
    phase: str | None, room: bool | None, waits: bool
) -> None:
    scene = Scene(phase=phase, room=room)
    task = scene.loads()
    await scene.clock.advance(2 * LOOK_S)
    assert task.done() is not waits
    task.cancel()


async def test_wait_engines_that_give_up_on_one_load_do_not_load_at_once() -> None:
    scene = Scene(used=lambda _: QUIET)
    scene.loads().cancel()
    loading: list[str] = []

    async def load(name: str) -> None:
        load_slot = LoadSlot(
            *(scene.load_slots, name, ALL, scene.clock),
            activity=lambda: ProcessActivity(scene.clock.now, 0.0, 0),
        )
        await load_slot.wait(OperatorRequests(), lambda: True, lambda _: None)
        load_slot.take()
        loading.append(name)
        assert len(loading) == 1
        await scene.clock.sleep(100)
        loading.remove(name)
        load_slot.give_back()

    tasks = [asyncio.create_task(load(name)) for name in "ab"]
    await scene.clock.advance(STILL_S + 4 * LOOK_S)
    assert len(loading) == 1
    await scene.clock.advance(200)
    for task in tasks:
        task.result()


async def test_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    scene = Scene()
    task = scene.loads()
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_in_order_whichever_file_is_read_first() -> None:
    """So that of engines which share a GPU in turns the last of the file stays awake."""
    load_slots, read = LoadSlots(), [asyncio.Event() for _ in range(4)]
    order: list[int] = []

    async def begins(number: int) -> None:
        async def reads() -> None:
            await read[number].wait()
            if number == 2:
                raise OSError

        try:
            await load_slots.in_order(reads())
        except OSError:
            return
        order.append(number)

    tasks = [asyncio.create_task(begins(number)) for number in range(4)]
    await settle()
    read[3].set()
    read[1].set()
    await settle()
    assert order == []
    read[0].set()
    await settle()
    assert order == [0, 1]
    read[2].set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 3]


async def test_in_order_waits_for_no_one_who_was_cancelled() -> None:
    load_slots, never = LoadSlots(), asyncio.Event()

    async def reads() -> None:
        await never.wait()

    first = asyncio.create_task(load_slots.in_order(reads()))
    await settle()
    second = asyncio.create_task(load_slots.in_order(asyncio.sleep(0)))
    await settle()
    assert not second.done()
    first.cancel()
    await asyncio.wait_for(second, 5)
