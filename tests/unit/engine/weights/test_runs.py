import asyncio
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.helpers.kept_weights import KeptScene, short_folder
from vllmd.engine.process import lost_shim
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.weights import sockets
from vllmd.engine.weights.runs import SilentShim, WeightsRuns
from vllmd.errors import ShimError
from vllmd.shim import proc
from vllmd.shim.protocol import RUN_RECORD_NAME
from vllmd.shim.record import read_record, write_record


@pytest.fixture
def scene() -> Iterator[KeptScene]:
    with short_folder() as folder:
        yield KeptScene(folder)


@pytest.fixture
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a process of a session of its own; returns it and when it began, in ticks."""
    started = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    stat = proc.read_stat(started.pid)
    assert stat is not None
    yield started, stat.start_ticks
    started.kill()
    started.wait()


def runs_of(scene: KeptScene) -> WeightsRuns:
    return WeightsRuns("chat", scene.settings.context)


async def test_clear_removes_what_others_left_and_what_is_spawned_then_is_found_again(
    scene: KeptScene,
) -> None:
    runs = runs_of(scene)
    assert await runs.find() is None
    runs.folder.mkdir(parents=True)
    (runs.folder / "vllm_weight_cache_a.sock").touch()
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    assert list(runs.folder.glob("vllm_*")) == []
    found = await runs.find()
    assert isinstance(found, ShimClient)
    assert found.run["run_id"] == client.run["run_id"]
    for each in (client, found):
        each.close()
    scene.weight_shims[0].vanish()


async def test_clear_that_leaves_a_socket_says_so(
    scene: KeptScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(scene)
    await runs.clear()
    monkeypatch.setattr(sockets, "listening", lambda _: 2)
    with pytest.raises(OSError, match="cannot be cleared: 2 sockets of others"):
        await runs.clear()


@pytest.mark.parametrize("how", ["silent", "closes", "folder gone"])
async def test_find_of_a_shim_that_cannot_be_asked_names_it(
    scene: KeptScene, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    runs = runs_of(scene)
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    client.close()
    shim = scene.weight_shims[0]
    shim.is_silent, shim.closes = how == "silent", how == "closes"
    if how == "folder gone":
        shutil.rmtree(runs.folder)
        monkeypatch.setattr(lost_shim, "find", lambda folder: {runs.folder: shim.pid}[folder])
    finding = asyncio.create_task(runs.find())
    await scene.passes_until(finding.done, 1)
    found = await finding
    assert isinstance(found, SilentShim)
    assert found.pid == shim.pid
    assert (found.run is None) == (how == "folder gone")
    says = {"silent": "does not answer", "closes": "closes every", "folder gone": "was removed"}
    assert says[how] in found.problem
    runs.folder.mkdir(exist_ok=True)
    shim.vanish()


async def test_spawn_of_what_ends_at_once_says_its_last_line(scene: KeptScene) -> None:
    scene.spawner.ends_at_once = 2
    assert scene.command.weights is not None
    await runs_of(scene).clear()
    with pytest.raises(ShimError, match="it ended at once: last line"):
        await runs_of(scene).spawn(scene.command.weights)


async def test_what_a_killed_shim_left_is_found_and_ended(
    scene: KeptScene, sleeper: tuple[subprocess.Popen[bytes], int]
) -> None:
    runs = runs_of(scene)
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    client.close()
    scene.weight_shims[0].vanish()
    left, ticks = sleeper
    path = str(runs.folder / RUN_RECORD_NAME)
    record = read_record(path)
    assert record is not None
    write_record(path, {**record, "engine_pid": left.pid, "engine_start_ticks": ticks})
    found = await runs.find()
    assert isinstance(found, dict)
    end = await runs.how_they_ended(found)
    assert (end.label, len(end.killed)) == ("shim_lost", 1)
    assert left.wait(10) == -9


async def test_after_an_end_that_is_known_nothing_is_ended(
    scene: KeptScene, sleeper: tuple[subprocess.Popen[bytes], int]
) -> None:
    runs = runs_of(scene)
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    client.close()
    await scene.weight_shims[0].end(0)
    stranger, ticks = sleeper
    path = str(runs.folder / RUN_RECORD_NAME)
    record = read_record(path)
    assert record is not None
    write_record(path, {**record, "engine_pid": stranger.pid, "engine_start_ticks": ticks})
    found = await runs.find()
    assert isinstance(found, dict)
    assert (await runs.how_they_ended(found)).label == "0"
    assert stranger.poll() is None
    runs.forget()
    assert await runs.find() is None


async def test_how_they_ended_has_its_cause_of_what_was_printed(scene: KeptScene) -> None:
    runs = runs_of(scene)
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    line = "(WeightCache pid=7) ERROR 11-23 19:09:22 [daemon.py:1] "
    line += "torch.OutOfMemoryError: CUDA out of memory."
    scene.settings.context.weights_log.write_text(f"{line}\n")
    await scene.weight_shims[0].end(1)
    end = await runs.how_they_ended(client.run)
    assert end.diagnosis is not None
    assert (end.label, end.diagnosis.cause) == ("1", "cuda_out_of_memory")


async def test_stop_of_a_shim_that_does_nothing_kills_it(scene: KeptScene) -> None:
    runs = runs_of(scene)
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    shim = scene.weight_shims[0]
    shim.exits_when_stopped = False
    stopping = asyncio.create_task(runs.stop(client))
    await scene.passes_until(lambda: shim.process.poll() is not None, 5)
    await stopping
    assert shim.stops
    client.close()
    shim.vanish()
