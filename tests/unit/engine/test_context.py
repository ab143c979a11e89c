from pathlib import Path

from tests.helpers.scene import Scene
from vllmd.engine.context import EngineContext
from vllmd.engine.gpu_interface import EngineGpus


def test_site_without_a_gpu_reader_knows_nothing_of_gpus(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    context = EngineContext(
        directory=tmp_path,
        log_path=tmp_path / "chat.log",
        state_dir=tmp_path,
        spawner=scene.spawner,
        stopped=scene.stopped,
        load_slots=scene.load_slots,
        clock=scene.clock,
        poll_s=5.0,
        chance=lambda: 0.0,
    )
    assert isinstance(context.gpu, EngineGpus)
    assert context.gpu.fine() is None
