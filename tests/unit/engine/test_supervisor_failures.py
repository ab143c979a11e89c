"""A supervisor whose engine fails, hangs or waits: held, killed, one after another."""

import asyncio
from pathlib import Path

import pytest

from tests.helpers.scene import Scene, running
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, RankProgress, Reading
from vllmd.engine.restart.load_slots import LoadingEngine
from vllmd.engine.state_machine import State
from vllmd.errors import HeldError

LORA = "ValueError: LoRA rank 32 is greater than max_lora_rank 16."


async def test_run_configuration_cause_is_held_with_the_fix_named(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        scene.answers = False
        await scene.until_state(State.LOADING)
        await scene.spawner.last.end(1, tail=[LORA])
        await scene.until_state(State.HELD)
        status = scene.supervisor.status
        assert status.hold is not None
        assert status.hold.cause == "lora_rank"
        assert "max_lora_rank" in status.hold.reason
        assert status.next_start_at == status.hold.retry_at
        await scene.clock.advance(1000)
        assert len(scene.spawner.shims) == 1
        scene.answers = True
        scene.supervisor.start()
        await scene.until_state(State.READY)
        assert scene.supervisor.status.hold is None
        assert len(scene.spawner.shims) == 2


@pytest.mark.parametrize("set_by_s", [-86400.0, 86400.0])
async def test_run_failures_count_and_a_hold_ends_however_the_clock_is_set(
    tmp_path: Path, set_by_s: float
) -> None:
    scene = Scene(
        tmp_path, restart="initial_s = 4, max_s = 16, max_failures = 3, hold_retry_s = 900"
    )
    async with running(scene):
        for number in range(3):
            await scene.until_state(State.READY)
            await scene.spawner.last.end(1)
            await scene.until_state(State.HELD if number == 2 else State.BACKOFF)
            scene.clock.step(set_by_s)
            await scene.clock.advance(0 if number == 2 else 30)
        held = scene.supervisor.status.hold
        assert held is not None
        assert held.reason.startswith("3 failures within ")
        assert scene.clock.time() - held.since == pytest.approx(0, abs=5)
        began = scene.clock.monotonic()
        await scene.leaves(State.HELD)
        assert scene.clock.monotonic() - began == pytest.approx(900, abs=20)
        await scene.until_state(State.READY)


async def test_run_engine_that_was_ready_with_this_command_is_tried_again_first(
    tmp_path: Path,
) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(1, tail=[LORA])
        await scene.until_state(State.BACKOFF)
        scene.answers = False
        await scene.clock.advance(4)
        await scene.until_state(State.LOADING)
        await scene.spawner.last.end(1, tail=[LORA])
        await scene.until_state(State.BACKOFF)
        await scene.clock.advance(8)
        await scene.until_state(State.LOADING)
        await scene.spawner.last.end(1, tail=[LORA])
        await scene.until_state(State.HELD)


async def test_run_hold_outlives_the_daemon_and_ends_with_another_command(tmp_path: Path) -> None:
    first = Scene(tmp_path)
    async with running(first):
        first.answers = False
        await first.until_state(State.LOADING)
        await first.spawner.last.end(1, tail=[LORA])
        await first.until_state(State.HELD)
    port = first.engine.port
    second = Scene(tmp_path, port=port)
    async with running(second):
        await second.until_state(State.HELD)
        await second.clock.advance(100)
        assert second.spawner.shims == []
        second.supervisor.stop()
        await second.until_state(State.STOPPED)
        second.stopped.discard("chat")
    mended = Scene(tmp_path, "max_num_seqs = 9", port=port)
    async with running(mended):
        await mended.until_state(State.READY)


async def test_stop_ends_a_hold_which_would_say_that_it_is_tried_again(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        scene.answers = False
        await scene.until_state(State.LOADING)
        await scene.spawner.last.end(1, tail=[LORA])
        await scene.until_state(State.HELD)
        scene.supervisor.stop()
        await scene.until_state(State.STOPPED)
        await scene.clock.advance(1)
        assert scene.supervisor.status.hold is None
        assert scene.supervisor.status.next_start_at is None


@pytest.mark.long
async def test_run_loop_of_failures_is_held_and_tried_again_in_time(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        for n in range(6):
            await scene.until(lambda n=n: len(scene.spawner.shims) == n + 1)  # type: ignore[misc]
            await scene.until_state(State.READY)
            await scene.spawner.last.end(0)
            await scene.until(
                lambda: scene.supervisor.status.next_start_at is not None  # in its pause, or held
            )
            if scene.state is State.BACKOFF:
                await scene.clock.advance(16)
        await scene.until_state(State.HELD)
        hold = scene.supervisor.status.hold
        assert hold is not None
        assert hold.retry_at is not None
        await scene.leaves(State.HELD)
        assert scene.clock.time() >= hold.retry_at
        await scene.until_state(State.READY)


async def test_stop_of_a_serving_engine_is_red_first_and_drains(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.spawner.last.exits_when_stopped = False
        scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, 2, 1)})
        scene.supervisor.stop()
        await scene.until(lambda: scene.spawner.last.stops == [10])
        assert scene.state is State.DRAINING
        assert not scene.supervisor.status.up
        await scene.clock.advance(1)
        assert scene.supervisor.status.requests_running == 2
        scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, 0, 0)})
        await scene.clock.advance(1)
        await scene.until_state(State.STOPPING)
        await scene.spawner.last.end(0, requested=True)
        await scene.until_state(State.STOPPED)


async def test_run_stalled_engine_is_killed_and_started_again_with_the_cause(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path, "liveness = { stall_s = 60, diagnose_s = 0 }")
    async with running(scene):
        await scene.until_state(State.READY)
        scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(5, 1, 0)})
        scene.used = ProcessActivity(1.0, 1.0, 0)
        while not scene.spawner.last.stops:
            await scene.clock.advance(5)
            await asyncio.sleep(0.005)  # its end comes over a real socket
        await scene.until_state(State.BACKOFF)
        status = scene.supervisor.status
        assert scene.spawner.last.stops == [0]
        assert dict(status.exits) == {("stalled", False): 1}
        assert status.last_exit is not None
        assert status.last_exit.diagnosis is not None
        assert status.last_exit.diagnosis.cause == "stalled"
        assert "no engine step" in status.last_exit.diagnosis.evidence[0]
        assert len(list((tmp_path / "state" / "incidents").iterdir())) == 1
        scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, 0, 0)})
        await scene.clock.advance(4)
        await scene.until_state(State.READY)
        assert scene.supervisor.status.restarts == 1


async def test_run_of_wrong_answers_is_drained_and_started_again_with_the_cause(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path, 'probe = { on_mismatch = "restart" }')
    async with running(scene):
        await scene.until_state(State.READY)
        run_id = scene.supervisor.status.run_id
        assert run_id is not None
        scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, 2, 0)})
        first = scene.spawner.last
        scene.supervisor.answers.end(run_id, "far")
        while not first.stops:
            await scene.clock.advance(1)
            await asyncio.sleep(0.005)  # its end comes over a real socket
        assert first.stops[0] == 3 + 7, "drain_s and stop_grace_s"
        await scene.until_state(State.READY)
        status = scene.supervisor.status
        assert dict(status.exits) == {("wrong_answers", False): 1}
        assert status.last_exit is not None
        assert status.last_exit.diagnosis is not None
        assert status.last_exit.diagnosis.cause == "wrong_answers"
        assert status.restarts == 1


async def test_run_engines_that_share_a_gpu_load_one_after_another(tmp_path: Path) -> None:
    one, two = Scene(tmp_path / "one"), Scene(tmp_path / "two")
    two.supervisor._load_slot._load_slots = one.load_slots
    one.load_slots.take("other", LoadingEngine())
    async with running(two):
        await two.until(lambda: two.supervisor.status.problem is not None)
        assert "waits until other has loaded" in str(two.supervisor.status.problem)
        assert two.supervisor.status.awaited_load == "other"
        assert two.spawner.shims == []
        one.load_slots.give_back("other")
        await two.until_state(State.READY)
        assert two.supervisor.status.awaited_load is None
        assert list(one.load_slots.ahead_of("another", None)) == []


async def test_run_engine_waits_for_gpu_memory_and_starts_the_second_there_is_room(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.shortage = Shortage("0", 2**30, ("python (pid 7): 60.0 GiB",), sure=True)
    async with running(scene):
        await scene.until(lambda: scene.supervisor._state.room_wait is not None)
        await scene.clock.advance(2)
        status = scene.supervisor.status
        assert "held by python (pid 7): 60.0 GiB" in str(status.problem)
        assert status.awaited_memory == scene.shortage
        assert status.to_json()["awaited_memory"]["missing_bytes"] == 2**30
        assert scene.spawner.shims == []
        scene.shortage = None
        await scene.clock.advance(1)
        await scene.until_state(State.READY)
        assert scene.supervisor.status.awaited_memory is None
        assert scene.supervisor.status.problem is None


async def test_run_start_that_waits_for_memory_is_made_at_once_or_given_up_when_somebody_says_so(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.shortage = Shortage("0", 2**30, (), sure=True)
    async with running(scene):
        await scene.until(lambda: scene.supervisor._state.room_wait is not None)
        await scene.clock.advance(2)
        scene.supervisor.stop()
        await scene.until(lambda: scene.supervisor.status.awaited_memory is None)
        await scene.clock.advance(0)  # until it waits no more, and not only says so
        assert scene.supervisor._state.room_wait is None
        assert scene.spawner.shims == []
        scene.supervisor.start()
        await scene.until(lambda: scene.supervisor._state.room_wait is not None)
        assert scene.spawner.shims == []
        scene.supervisor.start()
        await scene.until_state(State.READY)
        assert list(scene.supervisor._state.known.short_starts.values()) == [1]


async def test_run_engine_beside_one_whose_load_hangs_starts_after_a_minute(tmp_path: Path) -> None:
    one, two = Scene(tmp_path / "one"), Scene(tmp_path / "two")
    two.supervisor._load_slot._load_slots = one.load_slots
    one.answers, one.used = False, ProcessActivity(1.0, 1.0, 1)
    async with running(one), running(two):
        await one.until_state(State.LOADING)
        for _ in range(40):
            await one.clock.advance(5)
            await two.clock.advance(5)
            await asyncio.sleep(0.005)
        await two.until_state(State.READY)
        assert one.state is State.LOADING


async def test_run_phase_of_a_failed_load_is_a_part_of_its_cause(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        scene.answers = False
        (tmp_path / "chat.log").write_text("Starting to load model x...\n")
        await scene.until_state(State.LOADING)
        await scene.clock.advance(1)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        last = scene.supervisor.status.last_exit
        assert last is not None
        assert last.phase == "weights"
        assert "while loading (weights)" in last.describe()


async def test_run_gpu_fault_is_held_until_the_gpu_is_fine_again(tmp_path: Path) -> None:
    """A GPU reader's part, played: no line in the log says it, an Xid does."""
    async with running(Scene(tmp_path)) as scene:
        scene.answers = False
        await scene.until_state(State.LOADING)
        scene.seen = {"xid_79": "NVIDIA Xid 79 on GPU 0: fallen off the bus"}
        scene.gpu_fine = False
        await scene.spawner.last.end(1)
        await scene.until_state(State.HELD)
        status = scene.supervisor.status
        assert status.hold is not None
        assert (status.hold.cause, status.hold.fine) == ("gpu_fault", False)
        assert status.last_exit is not None
        assert status.last_exit.diagnosis is not None
        assert status.last_exit.diagnosis.evidence == (scene.seen["xid_79"],)
        await scene.passes(75)
        assert scene.state is State.HELD
        scene.gpu_fine, scene.seen = True, {}
        assert await scene.leaves(State.HELD) < scene.engine.restart.hold_retry_s
        await scene.until_state(State.LOADING)


async def test_run_next_start_waits_until_gpu_memory_is_back(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.holders = ["VLLM::EngineCore (pid 9) holds 60 GiB"]
        scene.supervisor.restart()
        await scene.until(lambda: scene.supervisor.status.last_exit is not None)
        await scene.clock.advance(1)
        assert len(scene.spawner.shims) == 1
        scene.holders = []
        await scene.clock.advance(1)
        await scene.until(lambda: len(scene.spawner.shims) == 2)
        await scene.until_state(State.READY)


MISMATCH = "the kernel runs driver 1, but the library on the disk is 2"


async def test_restart_of_a_serving_engine_is_refused_while_the_driver_is_changed(
    tmp_path: Path,
) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.mismatch = MISMATCH
        with pytest.raises(HeldError, match="library on the disk is 2"):
            scene.supervisor.restart()
        await scene.passes(60)
        assert scene.state is State.READY
        assert len(scene.spawner.shims) == 1


@pytest.mark.long
async def test_engine_that_would_start_while_the_driver_is_changed_is_held_until_it_fits(
    tmp_path: Path,
) -> None:
    """A start would load for minutes and fail: it is not tried, and begins by itself later."""
    scene = Scene(tmp_path)
    scene.gpu_fine, scene.mismatch = False, MISMATCH
    async with running(scene):
        await scene.until_state(State.HELD)
        status = scene.supervisor.status
        assert status.hold is not None
        assert status.hold.cause == "driver_mismatch"
        assert MISMATCH in status.hold.reason
        assert "reboot" in status.hold.reason
        await scene.passes(3600)
        scene.supervisor.start()
        await scene.passes(30)
        assert scene.state is State.HELD, "a person's wish does not mend a driver"
        assert scene.spawner.shims == []
        scene.gpu_fine, scene.mismatch = True, None
        await scene.leaves(State.HELD)
        await scene.until_state(State.READY)


async def test_sizes_that_an_engine_prints_while_it_loads_are_known(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.answers = False
    async with running(scene):
        await scene.until_state(State.LOADING)
        (tmp_path / "chat.log").write_text(
            "Model loading took 15.27 GiB and 1.3 seconds\nGPU KV cache size: 9 tokens\n"
        )
        await scene.clock.advance(1)
        assert dict(scene.supervisor.status.sizes) == {
            "weights": round(15.27 * 1024**3),
            "kv_cache_tokens": 9,
        }
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        assert dict(scene.supervisor.status.sizes) == {}
