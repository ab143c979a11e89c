"""A scripted hour of a whole host: pages, states and a GPU, against a calculation by hand."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.clock import FakeClock, quiet
from tests.helpers.late_disk import LateDisk
from tests.helpers.make import config, gpu_device, status
from tests.helpers.parts import running
from vllmd.cost.service import CostService, counters_of
from vllmd.cost.usage import Activity, Usage
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.errors import VllmdError
from vllmd.gpu.latest import MemoryListing
from vllmd.gpu.memory_shares import GpuMemory, Holder, Owner
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page
from vllmd.util.disk_thread import DiskThread
from vllmd.util.state_file import READ_AGAIN_S

TEXT = """
[daemon]
state_dir = "{folder}"
[cost]
gpu_hour = 2.50
kwh = 0.30
budget_million_tokens = 3
[engines.chat]
model = "m"
[engines.stand]
model = "s"
executable = "stand-in"
port = 8001
"""
GPU = "GPU-1"


class FakeGpus:
    """One GPU whose power and energy a test sets."""

    source = "nvml"

    def __init__(self) -> None:
        self.latest = SimpleNamespace(devices={GPU: gpu_device(GPU)})
        self.power, self.energy = 100.0, 0.0
        self.held: tuple[Holder, ...] = ()
        self.listed = True
        self.reader = SimpleNamespace(problem=None)

    def gpus_of(self, engine: Any) -> list[Any]:
        return list(self.latest.devices.values()) if engine.name == "chat" else []

    def holders(self, _: str) -> tuple[Holder, ...]:
        return self.held

    def listings(self) -> dict[str, MemoryListing] | None:
        memory = GpuMemory(100, 0, 100, 0)
        return {GPU: MemoryListing(0.0, memory, ())} if self.listed else None

    def values(self, _: Any) -> dict[str, float]:
        return {"power_watts": self.power, "energy_joules_total": self.energy}


def page(prompt: int, cached: int, generation: int, requests: int) -> Page:
    text = "".join(
        f'# TYPE vllm:{name} counter\nvllm:{name}_total{{engine="0"}} {value}.0\n'
        for name, value in (
            ("prompt_tokens", prompt),
            ("prompt_tokens_cached", cached),
            ("generation_tokens", generation),
            ("request_success", requests),
        )
    )
    return Page(parse_page(text.encode(), "chat").families, 0, len(text), 5.0, 0.1)


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock(now=0.0)
        self.gpus: Any = FakeGpus()
        self.chat = self.running("run-1")
        self.make()

    def make(self) -> None:
        self.disk_thread = DiskThread()
        given = config(TEXT.format(folder=self.folder))
        stand = status("stand", state=State.STOPPED)
        self.cost_service = CostService(
            given,
            lambda: [self.chat, stand],
            self.status,
            self.gpus,
            self.clock,
            self.disk_thread,
            "boot",
        )

    def status(self, name: str) -> EngineStatus | None:
        return self.chat if name == "chat" else None

    def running(self, run_id: str, **more: Any) -> EngineStatus:
        values = {"run_id": run_id, "started_at": self.clock.time(), **more}
        return status("chat", **values)

    async def work(self, minutes: float, watts: float, page: Page | None = None) -> None:
        """Let time pass; the page is read in the middle of it."""
        self.gpus.power = watts
        for step in range(int(minutes * 12)):
            if page is not None and step == int(minutes * 6):
                self.cost_service.page_read("chat", page)
            self.gpus.energy += watts * 5
            await self.clock.advance(5)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.disk_thread.close()


async def start(scene: Scene) -> Any:
    task = asyncio.create_task(scene.cost_service.run())
    await quiet()  # its files are read in a thread
    return task


async def test_a_scripted_hour_costs_what_a_calculation_by_hand_says(scene: Scene) -> None:
    began = scene.clock.time()
    task = await start(scene)
    scene.chat = scene.running("run-1", started_at=began, requests_running=3)
    await scene.work(20, 600, page(100_000, 20_000, 50_000, 200))
    scene.chat = scene.running("run-1", started_at=began, requests_running=0)
    await scene.work(10, 100)
    scene.chat = status("chat", state=State.LOADING)  # it died: its counters begin anew
    await scene.work(5, 100)
    scene.chat = scene.running("run-2", requests_running=1)
    await scene.work(10, 600, page(40_000, 0, 10_000, 50))
    scene.cost_service.close()  # the daemon is stopped, the engine serves on
    task.cancel()
    scene.disk_thread.close()
    scene.clock.now += 10 * 60
    scene.gpus.energy += 10 * 60 * 300
    scene.make()
    task = await start(scene)
    await scene.work(5, 600, page(100_000, 0, 20_000, 80))
    made = await scene.cost_service.report(began, scene.clock.time(), ["gpt-4o-mini"])
    task.cancel()
    (chat, stand) = made["engines"]
    did = {name: each["duration_s"] / 60 for name, each in chat["activities"].items()}
    # a look notes what the last five seconds were by what it finds
    assert did == pytest.approx({"busy": 35, "idle": 10, "down": 5, "unwatched": 10}, abs=0.5)
    assert sum(did.values()) == pytest.approx(60, abs=1e-6)
    # 100,000 and 50,000 of the first run, 100,000 and 20,000 of the second, also over the gap
    assert (chat["prompt_tokens"], chat["generation_tokens"]) == (200_000, 70_000)
    assert (chat["cached_tokens"], chat["requests"]) == (20_000, 280)
    # one hour of one GPU at 2.50; 35 min at 600 W, 15 at 100 W, and 10 at 300 W without a daemon
    kwh = (35 * 600 + 15 * 100 + 10 * 300) / 60 / 1000
    assert chat["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
    assert chat["cost"]["gpu"] == pytest.approx(2.50, rel=1e-9)
    assert chat["cost"]["energy"] == pytest.approx(kwh * 0.30, rel=1e-9)
    per_million = (2.50 + kwh * 0.30) / 0.27
    assert chat["cost_per_million_tokens"] == pytest.approx(per_million, rel=1e-9)
    # 180,000 fresh at 0.15, 20,000 cached at 0.075, 70,000 out at 0.60
    assert chat["compare"][0]["would_have_cost"] == pytest.approx(0.0705, rel=1e-9)
    assert stand["cost"]["all"] == 0.0
    assert stand["activities"]["down"]["duration_s"] > 0
    hourly = {"chat": pytest.approx(2.50 + 0.6 * 0.30), "stand": 0.0}
    assert made["cost_per_hour_now"] == hourly


async def test_figures_are_since_the_daemon_began(scene: Scene) -> None:
    task = await start(scene)
    scene.chat = scene.running("run-1", requests_running=1)
    await scene.work(1, 600)
    figures = scene.cost_service.figures()
    task.cancel()
    assert figures.used["chat", Activity.BUSY].duration_ns == 60_000_000_000
    # all of them from the beginning: a counter that appears later loses its first increase
    assert figures.used.keys() == {(n, a) for n in ("chat", "stand") for a in Activity}
    assert (figures.budget, figures.prices.currency) == (3.0, "USD")
    assert float(figures.hourly["chat"].gpu) == 2.5


async def test_an_api_without_a_price_is_refused(scene: Scene) -> None:
    with pytest.raises(VllmdError, match="'gpt-9' is not known"):
        await scene.cost_service.report(0, 1, ["gpt-9"])


async def test_a_state_that_is_something_else_is_said_and_the_older_one_taken(
    scene: Scene,
) -> None:
    folder = scene.folder / "usage"
    folder.mkdir()
    (folder / "2001-01-01.json").write_text('{"slots": [], "state": {"at_ns": 1, "engines": {}}}')
    (folder / "2001-01-02.json").write_text('{"slots": [], "state": {"at_ns": "x"}}')
    scene.cost_service._resume()
    assert scene.cost_service._meter.state()["at_ns"] == 1


def test_counters_of_a_page_without_vllms_counts_are_none() -> None:
    assert counters_of(Page(parse_page(b"x 1\n", "chat").families, 0, 1, 0.0, 0.0)) is None


async def test_nothing_is_written_before_what_was_used_earlier_could_be_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr("vllmd.cost.day_files.DayFiles.write", lambda *given: written.append(given))
    with monkeypatch.context() as broken:
        broken.setattr("vllmd.cost.day_files.DayFiles.days", lambda _: 1 / 0)
        async with running(scene.cost_service.parts(), scene.clock) as parts:
            for _ in range(100):
                await asyncio.sleep(0.001)
                await scene.clock.advance(0)
            assert parts.failures() == {"usage": 1}
            scene.cost_service.close()
    scene.disk_thread.close()
    assert written == []


async def test_nothing_is_written_before_a_late_disk_has_said_what_was_used(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await start(scene)
    await scene.work(10, 100)
    scene.cost_service.close()
    task.cancel()
    scene.disk_thread.close()
    day = scene.cost_service._day_files
    used = day.read(scene.clock.time() - 3600, scene.clock.time(), {})
    disk = LateDisk(monkeypatch)
    scene.make()
    task = await start(scene)
    await scene.work(2, 100)
    disk.late = False
    await scene.clock.advance(READ_AGAIN_S)
    await quiet()
    await scene.work(2, 100)
    scene.cost_service.close()
    task.cancel()
    scene.disk_thread.close()
    now = scene.cost_service._day_files.read(scene.clock.time() - 3600, scene.clock.time(), {})
    assert all(now[slot].duration_ns >= usage.duration_ns for slot, usage in used.items())
    assert sum(u.duration_ns for u in now.values()) > sum(u.duration_ns for u in used.values())


async def test_a_stopped_engine_pays_nothing_while_another_holds_memory(scene: Scene) -> None:
    scene.gpus.gpus_of = lambda engine: [gpu_device(GPU)]  # both would use it
    scene.gpus.held = (Holder(7, 60, Owner.ENGINE, "code"), Holder(8, 20, Owner.FOREIGN))
    code = status("code", state=State.READY, run_id="r", requests_running=1)
    scene.chat = status("chat", state=State.STOPPED, wanted=False, run_id=None)
    text = TEXT.format(folder=scene.folder) + '[engines.code]\nmodel = "c"\nport = 8002\n'
    scene.cost_service = CostService(
        config(text),
        lambda: [scene.chat, code],
        scene.status,
        scene.gpus,
        scene.clock,
        scene.disk_thread,
        "boot",
    )
    task = await start(scene)
    await scene.work(1, 100)
    await scene.work(1, 500)
    used = scene.cost_service.figures()
    task.cancel()
    assert used.used["chat", Activity.DOWN].gpu_ns == 0
    assert used.used["code", Activity.BUSY].gpu_ns == 90_000_000_000
    assert used.unattributed["(others)"].gpu_ns == 30_000_000_000
    energy = used.used["code", Activity.BUSY].energy_mj + used.unattributed["(others)"].energy_mj
    assert energy == 1000 * (60 * 100 + 60 * 500)


async def test_nothing_is_booked_before_it_is_known_who_runs(scene: Scene) -> None:
    began = scene.clock.time()
    task = await start(scene)
    scene.chat = scene.running("run-1", started_at=began)
    await scene.work(1, 100)
    task.cancel()
    scene.cost_service.close()
    scene.disk_thread.close()
    scene.make()
    for unknown in ({"looked_for": False}, {}):
        scene.gpus.listed = "looked_for" in unknown
        scene.chat = scene.running("run-1", started_at=began, **unknown)
        task = await start(scene)
        await scene.work(0.5, 100)
        task.cancel()
        assert scene.cost_service.figures().used["chat", Activity.IDLE] == Usage()
    scene.gpus.listed = True
    task = await start(scene)
    await scene.work(0.5, 100)
    task.cancel()
    used = scene.cost_service.figures().used
    assert sum(used["chat", activity].duration_ns for activity in Activity) == 90_000_000_000


async def test_a_gpu_that_is_not_read_for_a_moment_costs_on(scene: Scene) -> None:
    task = await start(scene)
    scene.chat = scene.running("run-1", requests_running=1)
    await scene.work(0.5, 100)
    scene.gpus.latest.devices = {}
    await scene.work(0.5, 100)
    used = scene.cost_service.figures().used
    task.cancel()
    assert used["chat", Activity.BUSY].gpu_ns == 60_000_000_000


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
async def test_totals_over_many_kills_are_the_clocks_and_nvmls(scene: Scene, seed: int) -> None:
    """Daemons killed at any moment, clocks that are set, an engine that comes and goes."""
    chance, began, watts = random.Random(seed), scene.clock.now, 0.0
    first = scene.clock.time()
    task = await start(scene)
    for _ in range(120):
        if chance.random() < 0.1:
            task.cancel()
            scene.disk_thread.close()  # what was handed over before the kill is on the disk
            scene.clock.now += chance.choice((0.5, 3, 40, 900))
            scene.gpus.energy += watts * chance.choice((0.5, 1))
            scene.make()
            task = await start(scene)
        if chance.random() < 0.05:
            scene.clock.step(chance.choice((-3600, -2, 2, 3600)))
        if chance.random() < 0.2:
            runs = chance.random() < 0.7
            scene.chat = (
                scene.running(f"run-{chance.randrange(3)}", requests_running=chance.randrange(3))
                if runs
                else status("chat", state=State.BACKOFF, run_id=None)
            )
        watts = chance.choice((80.0, 120.0, 600.0))
        await scene.work(chance.choice((0.25, 0.5, 1)), watts)
    scene.cost_service.close()
    task.cancel()
    until = scene.clock.time() + 90_000
    made = await scene.cost_service.report(first - 90_000, until, [])
    passed_s = scene.clock.now - began
    parts = [*made["engines"], *made["unattributed"].values()]
    assert all(each["accounted_s"] <= passed_s + 1e-6 for each in made["engines"])
    assert sum(each["gpu_hours"] for each in parts) <= passed_s / 3600 + 1e-6
    energy = sum(each["energy_kwh"] for each in parts) * 3_600_000
    assert energy == pytest.approx(scene.gpus.energy, rel=0.02)
    assert energy <= scene.gpus.energy
