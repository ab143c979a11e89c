from pathlib import Path

import pytest

from tests.helpers.late_disk import LateDisk
from tests.helpers.scene import Scene, running
from vllmd.engine.restart.late_start import LATE_S
from vllmd.engine.restart.policy import Hold
from vllmd.engine.restart.state_file import RestartState, RestartStateFile
from vllmd.engine.state_machine import State
from vllmd.util.state_file import READ_AGAIN_S


async def kept(folder: Path, what: str) -> int:
    """Leave what an earlier daemon would; returns the engine's port."""
    scene = Scene(folder)
    if what == "held":
        hold = Hold("cuda_out_of_memory", "R.", scene.clock.time(), None, scene.command.hash)
        RestartStateFile(folder / "state" / "engines" / "chat.json").save(RestartState(hold=hold))
    elif what == "stopped":
        scene.stopped.add("chat")
        await scene.stopped.save()
    return scene.engine.port


@pytest.mark.parametrize(("what", "state"), [("held", State.HELD), ("stopped", State.STOPPED)])
async def test_engine_is_not_started_by_a_daemon_whose_disk_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, state: State
) -> None:
    port, disk = await kept(tmp_path, what), LateDisk(monkeypatch)
    async with running(Scene(tmp_path, port=port)) as scene:
        await scene.until(lambda: scene.supervisor.status.problem is not None)
        assert "is not read" in str(scene.supervisor.status.problem)
        await scene.passes(3 * READ_AGAIN_S, READ_AGAIN_S)
        disk.late = False
        await scene.passes_until(lambda: scene.supervisor.status.problem is None)
        await scene.passes(60, 1)
        assert (scene.state, scene.spawner.shims) == (state, [])
        assert scene.supervisor.status.wanted is (what == "held")


async def test_engine_of_which_nothing_was_kept_starts_when_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = LateDisk(monkeypatch)
    async with running(Scene(tmp_path)) as scene:
        await scene.until(lambda: scene.supervisor.status.problem is not None)
        disk.late = False
        await scene.passes_until(lambda: scene.state is State.READY)


async def test_disk_that_never_answers_keeps_no_engine_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(tmp_path, "stopped")
    before = (tmp_path / "stopped.json").read_bytes()
    LateDisk(monkeypatch)
    async with running(Scene(tmp_path)) as scene:
        await scene.until(lambda: scene.supervisor.status.problem is not None)
        began = scene.clock.now
        await scene.passes_until(lambda: scene.state is State.READY)
        assert scene.clock.now - began >= LATE_S - 1
    assert (tmp_path / "stopped.json").read_bytes() == before


async def test_engine_that_runs_is_adopted_whatever_the_disk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Scene(tmp_path), keep=True) as first:
        await first.until_state(State.READY)
    LateDisk(monkeypatch)
    scene = Scene(tmp_path, port=first.engine.port)
    scene.spawner.shims = first.spawner.shims
    async with running(scene):
        await scene.passes_until(lambda: scene.state is State.READY)
        assert scene.supervisor.status.adopted
