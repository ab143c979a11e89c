from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.monitored import LIMITS, watching
from vllmd.engine.liveness.monitor import (
    LOADING_POLL_S,
)
from vllmd.engine.liveness.reading import (
    ProcessActivity,
)
from vllmd.engine.state_machine import State
from vllmd.events.engine import (
    EnginePhaseReached,
)


async def test_run_reads_phases_until_the_api_answers(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Starting to load model x...\n")
        await scene.clock.advance(LOADING_POLL_S)
        assert (scene.engine_state.state, scene.engine_state.phase) == (State.LOADING, "weights")
        scene.answers = True
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.is_in(State.READY)
        assert scene.engine_state.start_duration_s == 2 * LOADING_POLL_S
        assert scene.loaded == 1


async def test_run_phases_that_pass_within_one_poll_are_all_seen(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Starting to load model x...\nLoading weights took 0.01 seconds\n")
        with capture_logs() as logs:
            await scene.clock.advance(LOADING_POLL_S)
        reached = [e["phase"] for e in logs if e["event"] == EnginePhaseReached.name]
        assert reached == ["weights", "profile"]
        assert list(scene.engine_state.phases) == ["spawn", "weights", "profile"]


async def test_run_adopted_engine_has_no_start_duration(tmp_path: Path) -> None:
    async with watching(tmp_path, adopted=True, ready=True) as (scene, _):
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.is_in(State.READY)
        assert scene.engine_state.start_duration_s is None


async def test_run_foreign_server_on_the_port_is_not_ready(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.answers, scene.owner = True, False
        await scene.clock.advance(10)
        assert scene.is_in(State.LOADING)
        problem = str(scene.engine_state.problem)
        assert "port 8000 is answered by a process that is not this run" in problem
        assert "was removed serves on: leave it" in problem, "it may be the engine itself"
        scene.owner = None
        await scene.clock.advance(1)
        assert scene.is_in(State.READY)
        assert scene.engine_state.problem is None


async def test_span_ended_leads_to_a_phase_while_loading(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.watch.span_ended("Load weights", scene.clock.time(), failed=False)
        scene.watch.span_ended("Init device", 0.0, failed=False)  # they arrive out of order
        scene.watch.span_ended("llm_request", 0.0, failed=False)
        assert scene.engine_state.phase == "weights"


async def test_a_span_that_failed_leads_to_no_phase(tmp_path: Path) -> None:
    """Each span around the mistake ends with it, also those that end a start."""
    async with watching(tmp_path) as (scene, _):
        scene.watch.span_ended("Load weights", scene.clock.time(), failed=False)
        scene.watch.span_ended("EngineCoreProc init", scene.clock.time(), failed=True)
        assert scene.engine_state.phase == "weights"


async def test_a_start_that_says_that_it_fails_stays_in_its_phase(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Available KV cache memory: 1.84 GiB\nEngineCore failed to start.\n")
        await scene.clock.advance(LOADING_POLL_S)
        scene.watch.span_ended("EngineCoreProc init", scene.clock.time(), failed=False)
        scene.printing = "Capturing CUDA graphs (PIECEWISE):  12%|"
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.engine_state.phase == "kv_cache"
        assert scene.engine_state.start_left_s() is None


async def test_a_progress_bar_counts_while_it_runs(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Available KV cache memory: 45.94 GiB\n")
        await scene.clock.advance(LOADING_POLL_S)
        scene.printing = "Capturing CUDA graphs (PIECEWISE):   0%|          | 0/102"
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.engine_state.phase == "graphs"


async def test_a_phase_that_is_told_at_its_end_began_before(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Model loading took 15.45 GiB and 2.253781 seconds\n")
        await scene.clock.advance(LOADING_POLL_S)
        await scene.clock.advance(14.0 - LOADING_POLL_S)
        with scene.log.open("a") as log:
            log.write("Dynamo bytecode transform time: 12.94 s\n")
        await scene.clock.advance(LOADING_POLL_S)
        took = scene.engine_state.phase_durations()
        assert took["profile"] == pytest.approx(14 - 12.94)
        assert took["compile"] == pytest.approx(12.94)


async def test_run_load_without_any_sign_of_life_is_stalled(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        await scene.clock.advance(10)
        await scene.clock.advance(LIMITS.load_stall_s + 10)
        assert scene.is_in(State.STALLED)
        assert task.result().label == "load_stalled"
        assert scene.diagnosed == [task.result().reason]
        assert "no line, no CPU and no byte moved" in task.result().reason


@pytest.mark.long
async def test_run_load_goes_on_as_long_as_it_shows_life_however_long(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        signs: list[Callable[[int], object]] = [
            lambda n: scene.log.write_text(f"{scene.log.read_text()}shard {n}\n"),
            lambda n: setattr(scene, "activity", ProcessActivity(10.0, 10.0 + 60 * n, 1000)),
            lambda n: setattr(scene, "activity", ProcessActivity(10.0, 10.0 + 60 * n, 10**9 * n)),
        ]
        scene.log.write_text("")
        for n in range(1, 20):
            signs[n % 3](n)
            await scene.clock.advance(LIMITS.load_stall_s * 0.8)
        assert not task.done()
        assert scene.is_in(State.LOADING)


async def test_run_load_whose_processes_only_wait_for_each_other_is_stalled(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        scene.log.write_text("")
        for _ in range(4):
            with scene.log.open("a") as log:
                log.write("No available shared memory broadcast block found in 60 seconds.\n")
            await scene.clock.advance(60)
        assert task.done()


async def test_run_stalled_load_that_is_only_said_may_still_become_ready(tmp_path: Path) -> None:
    limits = attrs.evolve(LIMITS, restart_stalled=False)
    async with watching(tmp_path, limits=limits) as (scene, task):
        await scene.clock.advance(LIMITS.load_stall_s + 20)
        assert scene.is_in(State.STALLED)
        scene.answers = True
        await scene.clock.advance(1)
        assert scene.is_in(State.READY)
        assert not task.done()
