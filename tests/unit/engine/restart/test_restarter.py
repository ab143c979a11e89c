import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from vllmd.config import command
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.restart import compile_cache
from vllmd.engine.restart.dependencies import Dependencies
from vllmd.engine.restart.policy import RestartHistory
from vllmd.engine.restart.restarter import LOOK_S, Restarter
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.events.engine import EngineCacheMoved, EngineReleased


class Scene:
    def __init__(self, folder: Path, text: str = "") -> None:
        self.clock = FakeClock()
        self.fine: bool | None = None
        self.engine = engine(f'env = {{ VLLM_CACHE_ROOT = "{folder}" }}\n{text}')
        self.engine_state = EngineState("chat", self.clock, RestartStateFile(folder / "chat.json"))
        built = command.build(self.engine)
        dependencies = Dependencies(self.engine, built, gpu=lambda: self.fine)
        self.restarter = Restarter(
            self.engine,
            built,
            self.engine_state,
            clock=self.clock,
            chance=lambda: 0.0,
            dependencies=dependencies,
        )

    async def fails(self, cause: str, kind: Kind) -> float | None:
        found = Diagnosis(cause, kind, "It broke.", "Mend it.")
        end = Exit("1", requested=False, at=self.clock.time(), run_id=cause, diagnosis=found)
        self.engine_state.ended(end)
        return await self.restarter.decide()

    async def waits(self, until: Callable[[], bool], step_s: float = LOOK_S) -> float:
        """Wait for the end of a hold; returns how long that took, by the fake clock."""
        task = asyncio.create_task(self.restarter.wait(OperatorRequests(), 0))
        began = self.clock.now
        for _ in range(200):
            if task.done() or until():
                break
            await self.clock.advance(step_s)
        task.cancel()
        return self.clock.now - began


async def test_decide_pauses_after_a_transient_cause(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.fails("worker_died", Kind.TRANSIENT) == 1.0
    assert await scene.fails("worker_hung", Kind.TRANSIENT) == 2.0
    first = scene.engine_state.known.first_failure
    assert first is not None
    assert first.run_id == "worker_died"
    kept = RestartStateFile(tmp_path / "chat.json").load()  # for the next daemon
    assert len(kept.past.failures) == 2


@pytest.mark.long
async def test_decide_holds_at_a_wall_and_tries_once_by_itself(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.fails("lora_rank", Kind.CONFIGURATION) is None
    assert await scene.restarter.still_held()
    waited_s = await scene.waits(lambda: False)
    assert waited_s >= scene.engine.restart.hold_retry_s
    assert not await scene.restarter.still_held()
    assert await scene.fails("lora_rank", Kind.CONFIGURATION) is None
    hold = scene.engine_state.known.hold
    assert hold is not None
    assert hold.retry_at is None
    until = scene.clock.now + 24 * 3600
    assert await scene.waits(lambda: scene.clock.now > until, 3600) >= 24 * 3600


async def test_wait_ends_when_what_it_depends_on_is_fine_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.fine = False
    assert await scene.fails("gpu_fault", Kind.HARDWARE) is None

    def recover() -> bool:
        if scene.clock.now > 1100:
            scene.fine = True
        return False

    with capture_logs() as logs:
        waited_s = await scene.waits(recover)
    assert 100 <= waited_s <= 100 + 4 * LOOK_S
    assert [e["why"] for e in logs if e["event"] == EngineReleased.name] == [
        "what it depends on is fine again"
    ]
    assert scene.engine_state.known.past == RestartHistory()  # and failures are forgotten


async def test_wait_timed_retry_comes_at_its_time_and_failures_still_count(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "restart = { hold_retry_s = 67 }")
    assert await scene.fails("lora_rank", Kind.CONFIGURATION) is None
    assert 67 <= await scene.waits(lambda: False, 1) <= 69
    past = scene.engine_state.known.past
    assert ([each.cause for each in past.failures], past.retried) == (["lora_rank"], "lora_rank")


async def test_wait_what_was_fine_broke_and_is_fine_again_is_worth_a_try(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.fine = True
    assert await scene.fails("gpu_fault", Kind.HARDWARE) is None

    def breaks_and_recovers() -> bool:
        scene.fine = not 1100 < scene.clock.now < 1200
        return False

    waited_s = await scene.waits(breaks_and_recovers)
    assert 200 <= waited_s <= 200 + 4 * LOOK_S


async def test_wait_what_was_fine_all_the_time_releases_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.fine = True
    assert await scene.fails("gpu_fault", Kind.HARDWARE) is None
    assert await scene.waits(lambda: False) >= scene.engine.restart.hold_retry_s


async def test_still_held_another_command_is_not_held(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.fails("lora_rank", Kind.CONFIGURATION) is None
    mended = Scene(tmp_path, "max_num_seqs = 7")
    assert mended.engine_state.known.hold is not None
    assert not await mended.restarter.still_held()
    assert mended.engine_state.known.past.failures == ()
    assert Scene(tmp_path, "max_num_seqs = 7").engine_state.known.hold is None


@pytest.mark.parametrize("changed", ["boot", "program", "driver"])
async def test_still_held_another_fingerprint_are_worth_a_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    scene = Scene(tmp_path)
    assert await scene.fails("missing_kernels", Kind.CONFIGURATION) is None
    real = Dependencies.fingerprint

    def fingerprint(self: Dependencies) -> dict[str, str]:
        return {**real(self), changed: "another"}

    assert await scene.restarter.still_held()
    monkeypatch.setattr(Dependencies, "fingerprint", fingerprint)
    with capture_logs() as logs:
        await scene.waits(lambda: False)
    assert [e["why"] for e in logs if e["event"] == EngineReleased.name] == [
        f"another {changed} than before"
    ]


async def test_decide_end_that_somebody_asked_of_the_shim_is_no_failure(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.engine_state.ended(Exit("0", requested=True, at=1.0, run_id="r"))
    assert await scene.restarter.decide() == 1.0
    assert scene.engine_state.known.past.failures == ()


async def test_forget_failures_is_what_an_operator_does(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.fails("lora_rank", Kind.CONFIGURATION) is None
    scene.restarter.forget_failures()
    assert not await scene.restarter.still_held()
    assert scene.engine_state.known.past.failures == ()


async def test_decide_poisoned_compile_cache_is_moved_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    cache = tmp_path / "torch_compile_cache"
    cache.mkdir()
    with capture_logs() as logs:
        assert await scene.fails("compile_cache", Kind.TRANSIENT) == 1.0
    assert not cache.exists()
    assert EngineCacheMoved.name in [entry["event"] for entry in logs]
    cache.mkdir()
    assert await scene.fails("compile_cache", Kind.TRANSIENT) is None
    assert cache.exists()
    assert await scene.restarter.still_held()


async def test_decide_poisoned_compile_cache_that_cannot_be_moved_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(compile_cache, "set_aside", fails)
    scene = Scene(tmp_path)
    assert await scene.fails("compile_cache", Kind.TRANSIENT) == 1.0
    assert "cannot be set aside" in str(scene.engine_state.problem)


@pytest.mark.parametrize(("reset_after_s", "moved_again"), [(0, False), (60, True)])
async def test_decide_cache_may_be_moved_again_after_it_was_ready_for_long(
    tmp_path: Path, reset_after_s: int, moved_again: bool
) -> None:
    scene = Scene(tmp_path, f"restart = {{ reset_after_s = {reset_after_s} }}")
    cache = tmp_path / "torch_compile_cache"
    cache.mkdir()
    scene.engine_state.known.cache_moved = True
    scene.engine_state._ready_at = scene.clock.monotonic()
    scene.clock.now += 100
    assert await scene.fails("compile_cache", Kind.TRANSIENT) is not None
    assert cache.exists() is not moved_again
