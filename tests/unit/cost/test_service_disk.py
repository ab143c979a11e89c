import errno
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cost.test_service import Scene, scene, start
from vllmd.shim import record
from vllmd.util import state_file
from vllmd.util.units import DAY_S

__all__ = ["scene"]


async def test_disk_that_is_full_at_midnight_loses_nothing_of_the_day_before(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, is_full = record.write_record, False

    def written(path: str, *args: Any, **more: Any) -> None:
        if is_full and Path(path).name != "state.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *args, **more)

    monkeypatch.setattr(state_file, "write_record", written)
    clock = scene.clock
    clock.step(DAY_S - clock.time() % DAY_S - 20 * 60)
    began = clock.time()
    task = await start(scene)
    await scene.work(10, 100)
    is_full = True
    await scene.work(20, 100)
    is_full = False
    await scene.work(10, 100)
    task.cancel()
    scene.cost_service.close()
    scene.disk_thread.close()
    scene.make()
    made = await scene.cost_service.report(began, clock.time() + 3600, [])
    (chat,) = [each for each in made["engines"] if each["engine"] == "chat"]
    assert chat["accounted_s"] == pytest.approx(40 * 60, abs=70), chat
