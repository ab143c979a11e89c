"""Loads of kept weights that fail, stand still, or are not wanted any more."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.kept_weights import kept, other_settings, problem
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.state_machine import State
from vllmd.engine.weights.contents import Contents
from vllmd.engine.weights.freshness import Freshness
from vllmd.engine.weights.state import WeightsState


@pytest.mark.parametrize("change", ["contents", "program", "command"])
async def test_what_a_start_would_load_otherwise_is_loaded_anew_then_and_not_before(
    folder: Path, change: str
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        if change == "contents":
            path = scene.model / "model.safetensors"
            about = path.stat()
            path.write_bytes(b"2" * 100)
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        elif change == "program":
            (folder / "vllm").write_text("#!/bin/sh\n# another version\n")
        else:
            other_settings(scene, "max_model_len = 99")
        await scene.passes(30)
        assert scene.weight_shims[0].stops == []
        with capture_logs() as told:
            await scene.engine_shims[0].end(1)
            await scene.loads(2)
        assert [each["why"] for each in told if each["event"] == "weights.renewed"]
        assert scene.weight_shims[0].stops


@pytest.mark.parametrize("complete", [False, True])
async def test_reload_while_they_load_loads_what_is_wanted_now(
    folder: Path, complete: bool
) -> None:
    async with kept(folder) as scene:
        await scene.loads()
        for rank in range(2 if complete else 1):
            scene.bind(rank)
        other_settings(scene, "max_model_len = 99")
        await scene.loads(2)
        assert scene.weight_shims[0].stops
        assert scene.engine_shims == []
        await scene.complete(2)
        assert "99" in scene.weight_shims[1].spec["argv"]
        assert "99" in scene.engine_shims[0].spec["argv"]


async def test_preload_that_is_turned_off_while_they_load_ends_them(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.loads()
        scene.text = scene.text.replace("preload = true", "preload = false")
        other_settings(scene, "")
        await scene.passes_until(lambda: bool(scene.engine_shims), 0.5)
        assert scene.weight_shims[0].stops
        assert len(scene.weight_shims) == 1


async def test_preload_that_is_turned_off_ends_them_at_the_next_start(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.text = scene.text.replace("preload = true", "preload = false")
        other_settings(scene, "")
        await scene.passes(30)
        assert scene.weight_shims[0].stops == []
        await scene.engine_shims[0].end(1)
        await scene.passes_until(lambda: len(scene.engine_shims) == 2, 0.5)
        assert scene.weight_shims[0].stops
        assert scene.keeper.status is None


async def test_load_that_fails_lets_the_engine_load_and_says_why(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.loads()
        line = "torch.OutOfMemoryError: CUDA out of memory."
        await scene.weight_shims[0].end(1, tail=[line])
        await scene.passes_until(lambda: bool(scene.engine_shims), 0.5)
        status = scene.keeper.status
        assert status is not None
        assert "cuda_out_of_memory" in str(status.problem)
        await scene.until_state(State.READY)


async def test_shim_that_cannot_be_spawned_lets_the_engine_load_and_says_why(folder: Path) -> None:
    async with kept(folder) as scene:
        scene.spawner.error = "no such program"
        await scene.passes_until(lambda: scene.keeper.status.problem is not None, 0.5)  # type: ignore[union-attr]
        assert "no such program" in str(scene.keeper.status)


async def test_model_that_cannot_be_read_leaves_no_socket_of_those_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> Contents:
        raise PermissionError("model: Permission denied")

    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        left = scene.weight_shims[0].directory
        assert len(list(left.glob("*.sock"))) == 3
        monkeypatch.setattr(Freshness, "contents", fail)
        await scene.engine_shims[0].end(1)
        await scene.passes_until(lambda: len(scene.engine_shims) == 2, 0.5)
        assert len(scene.weight_shims) == 1
        assert "could not be loaded ahead: model: Permission denied" in problem(scene)
        assert list(left.glob("*.sock")) == []


async def test_load_that_gets_on_no_more_is_ended_and_the_engine_loads(folder: Path) -> None:
    async with kept(folder, "liveness = { load_stall_s = 60 }") as scene:
        scene.used = ProcessActivity(1.0, 2.0, 3)
        await scene.loads()
        await scene.passes(50, 0.5)
        assert scene.weight_shims[0].stops == []
        await scene.passes_until(lambda: bool(scene.engine_shims), 0.5)
        assert scene.weight_shims[0].stops
        assert "made no progress: no line, no CPU" in problem(scene)


async def test_stop_while_they_load_ends_them_and_starts_no_engine(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.loads()
        scene.supervisor.stop()
        await scene.passes_until(lambda: bool(scene.weight_shims[0].stops), 0.5)
        await scene.until(lambda: scene.weights_state is WeightsState.ABSENT)
        assert scene.engine_shims == []
        assert scene.state is State.STOPPED
