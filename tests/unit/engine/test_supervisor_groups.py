"""What a supervisor does with its group, when a reload makes it another one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.make import engine
from tests.helpers.scene import Scene, running
from vllmd.config import command
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.group_interface import ALONE, EngineGroup, GroupEnd
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.restart.load_slots import LoadingEngine
from vllmd.engine.state_machine import State


class GroupOfATest(EngineGroup):
    """One whose gate and whose end a test holds."""

    def __init__(self, place: str = "0 of a,b", *, is_member: bool = False) -> None:
        self.place, self.is_member = place, is_member
        self.opened = False
        self.end: asyncio.Future[GroupEnd] = asyncio.get_running_loop().create_future()
        self.released: list[str] = []
        self.wishes: list[str] = []
        self.refusals: asyncio.Queue[str] = asyncio.Queue()
        self.failing: list[Exit] = []

    async def next_run(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        waits: Callable[[str], None],
        free: Callable[[], bool] = lambda: True,
    ) -> str | None:
        waits(f"waits as {self.place}")
        while wanted() and free():
            if self.opened:
                return f"run of {self.place}"
            await requests.beyond(requests.count)
        return None

    async def until_end(self, run_id: str) -> GroupEnd:
        return await asyncio.shield(self.end)

    async def release(self, run_id: str, exited: "asyncio.Future[Any]") -> str | None:
        self.released.append(run_id)
        return await self.refusals.get()

    def wished(self, what: str) -> None:
        self.wishes.append(what)

    def was_failing(self, end: Exit) -> None:
        self.failing.append(end)


def belongs(scene: Scene, group: EngineGroup, **other: Any) -> None:
    """Have the engine belong to another group, as a reload does."""
    context = attrs.evolve(scene.settings.context, group=group)
    scene.settings = attrs.evolve(scene.settings, context=context, **other)
    scene.supervisor.configure(scene.settings)


@asynccontextmanager
async def ready_member(folder: Path) -> AsyncIterator[tuple[Scene, GroupOfATest]]:
    """Run an engine that is a member of a group, up to where it is ready."""
    scene, member = Scene(folder), GroupOfATest("1 of a,b", is_member=True)
    member.opened = True
    belongs(scene, member)
    async with running(scene):
        await scene.until_state(State.READY)
        yield scene, member


@pytest.mark.parametrize("alone", [True, False])
async def test_start_waits_at_the_gate_of_the_newest_group(tmp_path: Path, alone: bool) -> None:
    scene = Scene(tmp_path)
    belongs(scene, GroupOfATest("0 of a,b"))
    async with running(scene):
        await scene.until(lambda: scene.supervisor.status.problem == "waits as 0 of a,b")
        assert scene.state is State.WAITING
        other = GroupOfATest("0 of a,c")
        other.opened = True
        belongs(scene, ALONE if alone else other)
        await scene.until_state(State.READY)
        run = scene.supervisor.run_now
        assert run is not None
        assert run.place == (None if alone else "0 of a,c")


async def test_run_is_ended_by_the_newest_group(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with running(scene):
        await scene.until_state(State.READY)
        first = GroupOfATest()
        belongs(scene, first)
        other = GroupOfATest("0 of a,c")
        belongs(scene, other)
        await asyncio.sleep(0)
        other.end.set_result(GroupEnd("the part of c ended", lost="c"))
        await scene.until(lambda: scene.supervisor.status.last_exit is not None)
        last = scene.supervisor.status.last_exit
        assert last is not None
        assert last.label == "group_lost"


async def test_member_that_its_group_ends_is_looked_at_first_for_a_failure_of_its_own(
    tmp_path: Path,
) -> None:
    """A worker of it may have died long before its main process notices."""
    async with ready_member(tmp_path) as (scene, member):
        assert scene.supervisor.run_now is not None
        run_id = scene.supervisor.run_now.run_id
        line = "Worker proc VllmWorker-1 died unexpectedly (exit code: -9), shutting down executor."
        log = Path(scene.settings.context.log_path)
        said = f"(MainProcess pid=7) ERROR 11-28 21:48:04 [x.py:1] {line}\n"
        log.write_text((log.read_text() if log.exists() else "") + said)
        member.end.set_result(GroupEnd("the head runs this start no more"))
        await scene.until(lambda: scene.supervisor.status.last_exit is not None)
        assert [end.run_id for end in member.failing] == [run_id]
        assert member.failing[0].diagnosis is not None
        assert member.failing[0].diagnosis.cause == "worker_died"
        last = scene.supervisor.status.last_exit
        assert last is not None
        assert last.requested
        assert last.diagnosis is None


async def test_release_of_a_group_that_is_none_any_more_is_not_waited_for(tmp_path: Path) -> None:
    async with ready_member(tmp_path) as (scene, member):
        scene.supervisor.stop()
        await scene.until(lambda: bool(member.released))
        belongs(scene, ALONE)
        await scene.until_state(State.STOPPED)


async def test_next_daemon_knows_as_which_part_a_run_was_started(tmp_path: Path) -> None:
    first = Scene(tmp_path)
    group = GroupOfATest()
    group.opened = True
    belongs(first, group)
    async with running(first, keep=True):
        await first.until_state(State.READY)
    again = Scene(tmp_path, port=first.engine.port)
    again.spawner.shims = first.spawner.shims
    belongs(again, GroupOfATest("0 of a,b,c"))
    async with running(again):
        await again.until_state(State.READY)
        run = again.supervisor.run_now
        assert run is not None
        assert run.place == "0 of a,b"


async def test_renew_tells_the_head_that_a_restart_is_wanted(tmp_path: Path) -> None:
    async with ready_member(tmp_path) as (scene, member):
        scene.supervisor.renew()
        assert member.wishes == []
        changed = command.build(engine("port = 1\nmax_model_len = 99"))
        belongs(scene, member, command=changed)
        scene.supervisor.renew()
        assert member.wishes == ["restart"]


async def test_start_waits_again_for_what_came_in_its_way_at_the_gate(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    group = GroupOfATest()
    belongs(scene, group)
    async with running(scene):
        await scene.until(lambda: scene.supervisor.status.problem == "waits as 0 of a,b")
        scene.load_slots.take("other", LoadingEngine())
        group.opened = True
        belongs(scene, group, command=command.build(engine("port = 1\nmax_model_len = 99")))
        await scene.until(lambda: scene.supervisor.status.awaited_load == "other")
        assert scene.spawner.shims == []
        scene.load_slots.give_back("other")
        await scene.until_state(State.READY)


async def test_start_waits_for_room_that_went_while_it_waited_at_the_gate(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    group = GroupOfATest()
    belongs(scene, group)
    async with running(scene):
        await scene.until(lambda: scene.supervisor.status.problem == "waits as 0 of a,b")
        scene.shortage = Shortage("0", 1, (), sure=True)
        group.opened = True
        belongs(scene, group, command=command.build(engine("port = 1\nmax_model_len = 99")))
        await scene.clock.advance(5)
        assert scene.spawner.shims == []
        scene.shortage = None
        await scene.clock.advance(5)
        await scene.until_state(State.READY)


async def test_start_a_load_that_was_waited_for_long_enough_is_not_in_the_way(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.load_slots.take("other", LoadingEngine())
    group = GroupOfATest()
    group.opened = True
    belongs(scene, group)
    async with running(scene):
        await scene.until(lambda: scene.supervisor.status.awaited_load == "other")
        await scene.passes(1000)
        await scene.until_state(State.READY)


async def test_restart_that_the_head_refuses_is_none_and_the_member_serves_on(
    tmp_path: Path,
) -> None:
    async with ready_member(tmp_path) as (scene, member):
        run = scene.supervisor.run_now
        scene.supervisor.restart()
        await scene.until(lambda: bool(member.released))
        assert scene.state is State.DRAINING
        member.refusals.put_nowait("the driver has changed")
        await scene.until_state(State.READY)
        assert scene.supervisor.run_now == run
        problem = scene.supervisor.status.problem
        assert problem is not None
        assert problem.endswith("its group refuses the restart: the driver has changed")
        scene.supervisor.restart()  # the next one is another
        await scene.until(lambda: len(member.released) == 2)
        scene.supervisor.stop()  # and a stop is none that could be refused
        member.refusals.put_nowait("the driver has changed")
        await scene.until(lambda: len(member.released) == 3)
        assert scene.state is State.DRAINING
        belongs(scene, ALONE)
        await scene.until_state(State.STOPPED)
