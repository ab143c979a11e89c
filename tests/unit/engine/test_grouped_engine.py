"""What an engine does with its group; test_supervisor_groups has what a reload changes of it."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.clock import settle
from tests.helpers.grouped import Grouped
from tests.helpers.scene import Scene, running
from vllmd.engine.group_interface import EngineGroup
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.state_machine import State
from vllmd.groups.part import GroupPart
from vllmd.util.loop_lag import LoopLag


def _same(own: Any) -> Any:
    return own


def grouped(scene: Scene, rank: int) -> tuple[Grouped, GroupPart]:
    """Have a real engine be one host of a group of two; the other one is a test's."""
    made = Grouped()
    made.clock, lag = scene.clock, LoopLag(scene.clock)
    engines: list[Any] = [*made.own]
    engines[rank] = scene.supervisor
    for each, own in enumerate(engines):
        made.parts[each] = GroupPart(
            "chat", made.head.group, each, lag, functools.partial(_same, own)
        )
    made.own[1 - rank].place = made.parts[1 - rank].place
    context = attrs.evolve(scene.settings.context, group=made.parts[rank])
    scene.settings = attrs.evolve(scene.settings, context=context)
    scene.supervisor.configure(scene.settings)
    return made, made.parts[rank]


@pytest.mark.parametrize(
    "restart",
    [
        "initial_s = 60, max_s = 160, max_failures = 6",
        "initial_s = 4, max_s = 16, max_failures = 1",
    ],
)
async def test_nobody_joins_a_head_that_could_not_be_started(tmp_path: Path, restart: str) -> None:
    """As without the program, or with a full disk: its page says at once that it does not run."""
    scene = Scene(tmp_path, restart=restart)
    made, head = grouped(scene, 0)
    scene.spawner.error = "no such file: /opt/vllm/bin/vllm"
    async with running(scene):
        member = made.waiting(1)
        for _ in range(3):
            await settle()
            made.hear(1, 0)
            made.hear(0, 1)
        await scene.until(lambda: scene.state in (State.BACKOFF, State.HELD))
        assert not head.page().runs
        assert head.page().generation == head.generation
        made.hear(1, 0)
        await settle()
        assert not member.done()
        made.member.wished("start")  # it is of use: the head is in the way of a start
        wish = made.member.page().wish
        assert wish is not None
        assert wish.generation == head.page().generation
        member.cancel()


class GivenUp(EngineGroup):
    """One that lets a run begin, which nobody wants any more then."""

    place, is_member, has_members = "0 of a,b", False, True

    def __init__(self, scene: Scene) -> None:
        self.scene, self.launches = scene, 0

    async def next_run(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        waits: Callable[[str], None],
        free: Callable[[], bool] = lambda: True,
    ) -> str | None:
        self.scene.supervisor.stop()
        return "r"

    def launched(self) -> None:
        self.launches += 1


async def test_group_is_told_that_a_run_that_it_let_begin_does_not(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    group = GivenUp(scene)
    context = attrs.evolve(scene.settings.context, group=group)
    scene.settings = attrs.evolve(scene.settings, context=context)
    scene.supervisor.configure(scene.settings)
    async with running(scene):
        await scene.until(lambda: group.launches == 1)
        assert scene.spawner.shims == []
