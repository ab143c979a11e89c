import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.gpus import G1, G2, GpuScene
from tests.helpers.make import config
from vllmd.engine.state_machine import State
from vllmd.events.gpu import GpuReaderFailed
from vllmd.gpu.memory_shares import Owner
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.service import GpuService
from vllmd.gpu.state_file import GpuStateFile
from vllmd.util.units import GIB
from vllmd.xids import KernelXid


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


CHAT = (G1, 10, 50, Owner.ENGINE, "chat")
CODE = [(G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 20, Owner.ENGINE, "code")]


def test_growth_counts_from_when_the_engine_became_ready(scene: GpuScene) -> None:
    scene.becomes("chat", State.LOADING)
    scene.holds((G1, 10, 3, Owner.ENGINE, "chat"))
    assert scene.gpus.figures().growth == {}
    scene.becomes("chat", State.READY)
    scene.clock.now += 1
    scene.holds(CHAT)
    assert scene.gpus.figures().growth == {"chat": 0}
    scene.clock.now += 100
    scene.holds((G1, 10, 52, Owner.ENGINE, "chat"))
    assert scene.gpus.figures().growth == {"chat": 2 * GIB}


def test_growth_of_a_first_full_batch_is_none(scene: GpuScene) -> None:
    """As seen on an H200: 671 to 847 MB more after the first real load, and no more after that."""
    scene.becomes("chat", State.READY)
    scene.clock.now += 1
    scene.holds(CHAT)
    scene.becomes("chat", State.READY, requests_running=64)
    for gib, passed in ((50, 5), (51, 5), *((51, 10) for _ in range(60))):
        scene.clock.now += passed
        scene.holds((G1, 10, gib, Owner.ENGINE, "chat"))
        assert scene.gpus.figures().growth == {"chat": 0}
    scene.clock.now += 10
    scene.holds((G1, 10, 52, Owner.ENGINE, "chat"))
    assert scene.gpus.figures().growth == {"chat": GIB}


def test_growth_goes_on_in_the_next_daemon_and_begins_anew_with_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gib, growth in ((50, 0), (53, 3)):
        scene = GpuScene(tmp_path, monkeypatch)
        scene.becomes("chat", State.READY)
        scene.clock.now += 1
        scene.holds((G1, 10, gib, Owner.ENGINE, "chat"))
        assert scene.gpus.figures().growth == {"chat": growth * GIB}
    scene.becomes("chat", State.READY, run_id="another")
    scene.clock.now += 1
    scene.holds((G1, 10, 60, Owner.ENGINE, "chat"))
    assert scene.gpus.figures().growth == {"chat": 0}


def test_processes_are_listed_every_second_while_an_engine_starts(scene: GpuScene) -> None:
    scene.becomes("chat", State.LOADING)
    scene.fast()
    scene.fast()
    assert scene.told == ["pace processes 1.0"]
    scene.becomes("chat", State.READY)
    scene.fast()
    assert scene.told == ["pace processes 1.0", "pace processes 10.0"]


def test_gpu_that_is_lost_is_told_once_and_so_is_its_return(
    scene: GpuScene, capsys: pytest.CaptureFixture[str]
) -> None:
    for lost in ({G1: "lost"}, {G1: "lost"}, {}):
        scene.fast(lost=lost)
    output = capsys.readouterr().out
    assert (output.count("gpu.lost"), output.count("gpu.found")) == (1, 1)


def test_lost_gpu_says_since_when_also_to_the_next_daemon_and_after_it_came_back(
    scene: GpuScene, capsys: pytest.CaptureFixture[str]
) -> None:
    def since() -> list[float | None]:
        return [each.lost_since for each in scene.gpus.figures().devices]

    scene.clock.epoch += 60
    scene.fast(lost={G1: "lost"})
    first = scene.clock.time()
    scene.clock.epoch += 60
    scene.fast(lost={G1: "lost"})
    assert since() == [first, None]
    scene.begin_anew()
    scene.fast(lost={G1: "lost"})
    assert since() == [first, None]
    assert capsys.readouterr().out.count("gpu.lost") == 1
    scene.fast()
    assert since() == [None, None]
    scene.fast(lost={G1: "lost"})
    assert since() == [scene.clock.time(), None], "of one that comes and goes: the last time"
    output = capsys.readouterr().out
    assert (output.count("gpu.lost"), output.count("gpu.found")) == (1, 1)


def test_driver_that_is_upgraded_under_us_is_noticed_and_its_return_too(
    scene: GpuScene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.library = "590.2"
    scene.slow()
    scene.slow()
    figures = scene.gpus.figures()
    assert figures.mismatch is not None
    assert "driver 580.1, but the library on the disk is 590.2" in figures.mismatch
    assert capsys.readouterr().out.count("gpu.driver_changed") == 1
    scene.kernel = "590.2"
    scene.slow()
    assert scene.gpus.figures().mismatch is None


def test_next_daemon_knows_of_a_changed_driver_before_it_has_read_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It adopts engines at once, and a `reload --apply` must not restart them then."""
    scene = GpuScene(tmp_path, monkeypatch)
    scene.library = "590.2"
    scene.slow()
    text = f'[daemon]\nrun_dir = "{tmp_path}/run"\n[gpu]\nsource = "nvml"\n'
    fresh = GpuService(
        config(text), {}, lambda: [], FakeClock(), GpuStateFile(tmp_path / "gpus.json")
    )
    assert fresh.mismatch is not None


def test_reader_that_cannot_begin_for_the_driver_is_a_mismatch_too(scene: GpuScene) -> None:
    scene.kernel = scene.library = None
    scene.gpus.reader.fast.problem = ReaderProblem(
        "driver_mismatch", "Driver/library version mismatch"
    )
    scene.gpus._forget()
    figures = scene.gpus.figures()
    assert figures.mismatch is not None
    assert {f.lost for f in figures.devices} == {"not_read"}
    assert all(not f.values and not f.owners for f in figures.devices)


def test_xids_of_the_driver_and_the_kernel_reach_their_gpu(scene: GpuScene) -> None:
    scene.say("xid", at=scene.clock.time(), uuid=G1, code=79)
    scene.gpus._take_kernel_xid(KernelXid((0, 0, 6), 79, "fallen"))
    scene.gpus._take_kernel_xid(KernelXid((0, 0, 7), 31, "pid=5"))
    scene.gpus._take_kernel_xid(KernelXid((9, 9, 9), 31, "of no GPU of ours"))
    first, second = scene.gpus.figures().devices
    assert [(s.xid.code, s.count) for s in first.xids] == [(79, 1)]
    assert [(s.xid.code, s.count) for s in second.xids] == [(31, 1)]


async def test_fresh_waits_for_a_listing(scene: GpuScene) -> None:
    asking = asyncio.create_task(scene.gpus.fresh())
    await asyncio.sleep(0)
    scene.holds(CHAT)
    assert await asking
    assert scene.told == ["processes"]


async def test_fresh_does_not_wait_for_ever(scene: GpuScene) -> None:
    asking = asyncio.create_task(scene.gpus.fresh())
    await scene.clock.advance(3.1)
    assert not await asking


async def test_reap_kills_orphans_only(scene: GpuScene, capsys: pytest.CaptureFixture[str]) -> None:
    children = [sleeper() for _ in range(3)]
    engine, orphan, foreign = (child.pid for child in children)
    scene.holds(
        (G1, engine, 5, Owner.ENGINE, "chat"),
        (G1, orphan, 5, Owner.ORPHAN, "chat"),
        (G2, orphan, 5, Owner.ORPHAN, "chat"),
        (G1, foreign, 5, Owner.FOREIGN, None),
    )
    reaping = asyncio.create_task(scene.gpus.reap())
    await scene.clock.advance(3.1)
    killed = await reaping
    assert killed == [f"proc{orphan} (pid {orphan})"]
    assert children[1].wait(5) == -9
    assert [children[0].poll(), children[2].poll()] == [None, None]
    for child in children:
        child.kill()
        child.wait()
    assert "gpu.orphans_killed" in capsys.readouterr().out


def test_engine_that_is_not_configured_any_more_is_no_orphan(
    scene: GpuScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken out of the file and serves on: 'vllmd gpu reap' must not kill it."""
    (tmp_path / "run" / "engines" / "old").mkdir(parents=True)
    monkeypatch.setattr("vllmd.engine.process.orphans.read_run", lambda _: {"shim_pid": 99})
    monkeypatch.setattr("vllmd.engine.process.orphans.shim_alive", lambda _: True)
    assert scene.gpus._shims() == {99: "old"}


async def test_host_without_a_gpu_runs_no_reader(tmp_path: Path) -> None:
    text = f'[daemon]\nrun_dir = "{tmp_path}"\n[gpu]\nsource = "none"\n'
    gpus = GpuService(
        config(text), {}, lambda: [], FakeClock(), GpuStateFile(tmp_path / "gpus.json")
    )
    assert list(gpus.parts()) == []
    figures = gpus.figures()
    assert (figures.source, figures.devices) == ("none", ())
    assert figures.problem is not None
    assert not await gpus.fresh()


def test_release_and_resume_are_the_links(scene: GpuScene, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(scene.gpus.reader, "release", done.append)
    monkeypatch.setattr(scene.gpus.reader, "resume", lambda: done.append("resume"))
    scene.gpus.release(60)
    scene.gpus.release(0)
    assert done == [60, "resume"]
    assert os.getpid()


def test_mistake_of_the_reader_is_told(scene: GpuScene) -> None:
    with capture_logs() as logs:
        scene.gpus._take({"v": 1, "kind": "mistake", "text": "Xids are not watched"})
    assert [(each["event"], each["problem"]) for each in logs] == [
        (GpuReaderFailed.name, "Xids are not watched")
    ]
