from pathlib import Path

from tests.helpers.scene import Scene
from vllmd.engine.context import EngineContext
from vllmd.engine.gpu_interface import GpuView


def test_site_without_a_gpu_reader_knows_nothing_of_gpus(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    site = EngineContext(
        directory=tmp_path,
        log_path=tmp_path / "chat.log",
        state_dir=tmp_path,
        spawner=scene.spawner,
        stopped=scene.stopped,
        turns=scene.turns,
        clock=scene.clock,
        poll_s=5.0,
        chance=lambda: 0.0,
    )
    assert isinstance(site.gpu, GpuView)
    assert site.gpu.fine() is None
