import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from tests.helpers.kept_weights import KeptScene, short_folder
from vllmd.engine.weights.runs import WeightsRuns
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
    assert found is not None
    assert found.run["run_id"] == client.run["run_id"]
    for each in (client, found):
        each.close()
    scene.weight_shims[0].vanish()


async def test_clear_beside_a_shim_that_lives_removes_nothing(scene: KeptScene) -> None:
    runs = runs_of(scene)
    await runs.clear()
    assert scene.command.weights is not None
    client = await runs.spawn(scene.command.weights)
    client.close()
    path = runs.folder / "vllm_weight_cache_a.sock"
    path.touch()
    clearing = asyncio.create_task(runs.clear())
    await scene.passes_until(clearing.done, 1)
    with pytest.raises(ShimError, match="lives"):
        await clearing
    assert path.exists()
    scene.weight_shims[0].vanish()
    await runs.clear()
    assert not path.exists()


async def test_spawn_of_what_ends_at_once_says_its_last_line(scene: KeptScene) -> None:
    scene.spawner.ends_at_once = 2
    assert scene.command.weights is not None
    await runs_of(scene).clear()
    with pytest.raises(ShimError, match="it ended at once: last line"):
        await runs_of(scene).spawn(scene.command.weights)


async def test_find_ends_what_a_killed_shim_left(
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
    assert await runs.find() is None
    assert left.wait(10) == -9
    assert read_record(path) is None


async def test_find_after_an_end_that_is_known_ends_nothing_and_forgets_it(
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
    assert await runs.find() is None
    assert stranger.poll() is None
    assert read_record(path) is None


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
