import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.clock import FakeClock, quiet
from tests.helpers.late_disk import LateDisk
from tests.helpers.make import config, gpu_device, status
from tests.unit.advise.test_observer import page
from vllmd.advise.service import AdviseService
from vllmd.config.load import load
from vllmd.gpu.latest import MemoryListing
from vllmd.gpu.memory_shares import GpuMemory
from vllmd.util.disk_thread import DiskThread
from vllmd.util.state_file import READ_AGAIN_S
from vllmd.util.units import GIB

TEXT = """
[daemon]
state_dir = "{folder}/state"
[engines.chat]
model = "m"
max_num_seqs = 4
gpu_memory_utilization = 0.9
"""


class FakeGpu:
    """One GPU with 10 GiB free."""

    def gpus_of(self, _: Any) -> list[Any]:
        return [gpu_device("GPU-1")]

    def listings(self) -> dict[str, MemoryListing]:
        return {"GPU-1": MemoryListing(0.0, GpuMemory(80 * GIB, 0, 10 * GIB, 70 * GIB), ())}

    def margin(self, _device: Any, _engine: Any) -> float:
        return 1.0 * GIB


class Scene:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "vllmd.toml"
        self.path.write_text(TEXT.format(folder=folder))
        self.clock = FakeClock(now=0.0)
        self.disk = DiskThread()
        self.chat = status("chat", run_id="run-1", command_hash="c1", started_at=self.clock.time())
        self.service = self.make()

    def make(self) -> AdviseService:
        commands: Any = {"chat": SimpleNamespace(hash="c1")}
        given = load(self.path)[0]
        gpus: Any = FakeGpu()
        return AdviseService(
            given,
            commands,
            lambda name: self.chat if name == "chat" else None,
            gpus,
            self.clock,
            self.disk,
        )

    def begin(self) -> Any:
        return asyncio.create_task(self.service.run())

    async def serve(self, requests: int, **more: Any) -> None:
        for number in range(1, 13):
            self.service.page_read(
                "chat", page(self.clock.monotonic(), finished=requests * number // 12, **more)
            )
            await self.clock.advance(30)

    async def report(self) -> dict[str, Any]:
        made = await self.service.report(self.clock.time() - 86_400, self.clock.time(), 2.5)
        (found,) = made["engines"]
        return dict(found)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.disk.close()


async def test_what_pages_show_becomes_advice_with_a_change_of_the_file(scene: Scene) -> None:
    task = scene.begin()
    await quiet()
    for _ in range(15):  # an hour and a half
        await scene.serve(4000, running=4, waiting=2, kv=0.2)
    found = await scene.report()
    assert found["enough"]
    (advice,) = found["advice"]
    assert (advice["key"], advice["now"], advice["value"]) == (["max_num_seqs"], 4, 8)
    assert "-max_num_seqs = 4\n+max_num_seqs = 8\n" in advice["diff"]
    task.cancel()


async def test_the_next_daemon_goes_on_with_what_was_seen(scene: Scene) -> None:
    task = scene.begin()
    await quiet()
    await scene.serve(100)
    scene.service.close()
    task.cancel()
    scene.disk.close()
    scene.disk = DiskThread()
    scene.service = scene.make()
    task = scene.begin()
    await quiet()
    scene.service.page_read("chat", page(scene.clock.monotonic(), finished=130))
    await scene.clock.advance(400)
    await asyncio.to_thread(scene.disk.close)
    assert (await scene.report())["requests"] == 130
    task.cancel()


async def test_what_was_seen_with_another_command_does_not_count(scene: Scene) -> None:
    task = scene.begin()
    await quiet()
    scene.chat = status("chat", run_id="r", command_hash="old", started_at=scene.clock.time())
    await scene.serve(100)
    found = await scene.report()
    assert (found["requests"], found["enough"]) == (0, False)
    assert found["other_commands_s"] == pytest.approx(330)
    task.cancel()


async def test_pages_of_what_is_not_known_are_left_out(scene: Scene) -> None:
    task = scene.begin()
    await quiet()
    scene.service.page_read("gone", page(1.0, finished=3))
    scene.chat = status("chat", run_id=None)
    scene.service.page_read("chat", page(1.0, finished=3))
    assert (await scene.report())["requests"] == 0
    other = config('[engines.code]\nmodel = "m"')
    scene.service.configure(other, {})
    made = await scene.service.report(0.0, scene.clock.time(), 2.5)
    assert [each["engine"] for each in made["engines"]] == ["code"]
    task.cancel()


async def test_daemon_whose_disk_is_late_counts_nothing_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = scene.begin()
    await quiet()
    await scene.serve(100)
    scene.service.close()
    task.cancel()
    scene.disk.close()
    scene.disk, disk = DiskThread(), LateDisk(monkeypatch)
    scene.service = scene.make()
    task = scene.begin()
    await quiet()
    scene.service.page_read("chat", page(scene.clock.monotonic(), finished=115))
    disk.late = False
    await scene.clock.advance(READ_AGAIN_S)
    await quiet()
    scene.service.page_read("chat", page(scene.clock.monotonic(), finished=130))
    await scene.clock.advance(400)
    await asyncio.to_thread(scene.disk.close)
    assert (await scene.report())["requests"] == 130
    task.cancel()
