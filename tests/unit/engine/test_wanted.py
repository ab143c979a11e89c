from pathlib import Path

from tests.helpers.scene import Scene, running
from vllmd.engine.state_machine import State


async def test_is_wanted_until_it_is_stopped_or_the_daemon_ends(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        assert scene.supervisor.is_wanted
        scene.supervisor.stop()
        assert not scene.supervisor.is_wanted
        scene.supervisor.start()
        assert scene.supervisor.is_wanted
        scene.supervisor.dismiss()
        assert not scene.supervisor.is_wanted
        scene.supervisor.keep()
        assert scene.supervisor.is_wanted


async def test_has_served_is_of_this_run(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        assert scene.supervisor.has_served
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        assert not scene.supervisor.has_served
