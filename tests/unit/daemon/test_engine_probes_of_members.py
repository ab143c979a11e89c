"""A part of a group without an API: it prints nothing, uses no CPU, and is well."""

from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from tests.helpers.monitored import LIMITS, QUIET, Scene, watching
from tests.unit.daemon.test_engine_probes import adapters_of, client_of, refuse
from vllmd.config import command
from vllmd.daemon.engine_probes import MemberProbes
from vllmd.engine.group_interface import EngineGroup
from vllmd.engine.liveness.reading import PageAnswer
from vllmd.engine.state_machine import State
from vllmd.scrape.page import PageSource
from vllmd.scrape.recent import RecentPages
from vllmd.util.parts import PartRunner

DAY_S = 86400.0


class MemberGroup(EngineGroup):
    is_member = True

    def __init__(self) -> None:
        self.serves = False

    async def joined(self) -> bool:
        return self.serves

    def gets_on(self) -> bool:
        return True


def member_probes(folder: Path, clock: FakeClock, group: EngineGroup) -> MemberProbes:
    given, client = engine("liveness = { canary = true }"), client_of(refuse)
    source = PageSource("chat", "http://x", client, clock)
    adapters = adapters_of(given, folder, client, clock)
    return MemberProbes(
        *(given, command.build(given), source, client, clock, adapters, RecentPages()),
        PartRunner(),
        "bar of {}".format,
        group,
    )


def of_member(scene: Scene, folder: Path) -> MemberGroup:
    group = MemberGroup()
    probes = member_probes(folder, scene.clock, group)
    probes.activity = lambda *_: QUIET  # type: ignore[method-assign]
    scene.watch.probes = probes
    return group


async def test_a_member_is_asked_nothing_and_listens_nowhere(tmp_path: Path) -> None:
    asked = member_probes(tmp_path, FakeClock(), MemberGroup())
    assert (asked.canary, asked.ranks, asked.owns_port(1)) == (None, None, None)
    reading = await asked.serving()
    assert (reading.answer, dict(reading.ranks)) == (PageAnswer.PAGE, {})
    assert not (await asked.look_afresh(False)).answered


@pytest.mark.long
async def test_a_member_is_ready_when_the_head_serves_with_it_and_never_stalled_by_silence(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as (scene, task):
        group = of_member(scene, tmp_path)
        await scene.clock.advance(LIMITS.load_stall_s * 3)
        assert scene.is_in(State.LOADING), "the group gets on, whatever moves here"
        group.serves = True
        await scene.clock.advance(5)
        assert scene.is_in(State.READY)
        await scene.clock.advance(DAY_S / 8)
        assert scene.is_in(State.READY)
        assert not task.done()
        assert scene.diagnosed == []
