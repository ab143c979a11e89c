import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.kept_weights import KeptScene, kept, other_settings, problem
from tests.helpers.scene import running
from vllmd.engine.process import orphans
from vllmd.engine.state_machine import State
from vllmd.engine.weights import sockets
from vllmd.engine.weights.keeper import LOAD_LOOK_S
from vllmd.engine.weights.loaded import Loaded, LoadedFile
from vllmd.engine.weights.state import WeightsState
from vllmd.shim.protocol import RUN_RECORD_NAME, RunRecord
from vllmd.shim.record import read_record
from vllmd.util.state_file import NotRead, StateFile


async def test_engine_is_started_when_all_ranks_hand_out_and_not_before(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.loads()
        scene.bind(0)
        await scene.passes(10, 0.5)
        assert (scene.weights_state, scene.engine_shims) == (WeightsState.LOADING, [])
        status = scene.keeper.status
        assert status is not None
        assert (status.ranks_ready, status.ranks) == (1, 2)
        await scene.complete()
        assert scene.weights_state is WeightsState.READY
        await scene.until_state(State.READY)
        spec = scene.weight_shims[0].spec
        assert spec["log"] == str(folder / "chat.weights.log")
        assert scene.command.weights is not None
        assert spec["env"] == dict(scene.command.weights.env)


async def test_deaths_of_the_engine_leave_them(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        for _ in range(3):
            await scene.until_state(State.READY)
            await scene.engine_shims[-1].end(1)
            await scene.until_state(State.BACKOFF)
            await scene.passes_until(lambda: scene.state is State.READY, 0.5)
        assert (len(scene.weight_shims), scene.weight_shims[0].stops) == (1, [])


async def test_stop_gives_them_up_once_the_engine_is_gone(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.supervisor.stop()
        await scene.passes_until(lambda: bool(scene.weight_shims[0].stops), 0.5)
        assert scene.engine_shims[0].stops
        await scene.until(lambda: scene.weights_state is WeightsState.ABSENT)
        assert scene.state is State.STOPPED


async def test_stop_that_keeps_them_is_known_to_the_next_daemon_and_ends_with_a_start(
    folder: Path,
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.supervisor.stop(keep_weights=True)
        await scene.until_state(State.STOPPED)
        await scene.passes(20)
        assert scene.weight_shims[0].stops == []
        await scene.supervisor.saved()
        scene.keeper.detach()
        next_daemon = KeptScene(folder)
        async with running(next_daemon):
            await next_daemon.until(lambda: next_daemon.weights_state is WeightsState.READY)
            await next_daemon.passes(20)
            assert scene.weight_shims[0].stops == []
            next_daemon.supervisor.start()
            await next_daemon.until_state(State.READY)
            assert next_daemon.weight_shims == []
            next_daemon.supervisor.stop()
            await next_daemon.until(lambda: bool(scene.weight_shims[0].stops))


async def test_weights_that_are_to_stay_are_not_ended_before_that_was_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.supervisor.stop(keep_weights=True)
        await scene.until_state(State.STOPPED)
        await scene.supervisor.saved()
        scene.keeper.detach()
        next_daemon = KeptScene(folder)
        own = next_daemon.keeper._kept.loaded._file
        with monkeypatch.context() as late:
            late.setattr(own, "read", lambda _: _not_read(own))
            async with running(next_daemon):
                await next_daemon.passes(20)
                assert scene.weight_shims[0].stops == []
                late.undo()
                await next_daemon.passes(20)
                assert scene.weight_shims[0].stops == []
                status = next_daemon.keeper.status
                assert status is not None
                assert status.kept


def _not_read(file: StateFile) -> NotRead:
    file.unread = "no answer"
    return NotRead("no answer")


async def test_end_while_the_engine_serves_is_told_with_its_cause_and_loaded_anew_at_the_next_start(
    folder: Path,
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        with capture_logs() as told:
            scene.unbind()
            await scene.weight_shims[0].end(None, signal=9, oom_kills=1)
            await scene.passes_until(lambda: scene.weights_state is WeightsState.ABSENT, 2)
        (ended,) = [each for each in told if each["event"] == "weights.ended"]
        assert (ended["code"], ended["cause"]) == ("SIGKILL", "host_out_of_memory")
        assert scene.state is State.READY
        assert "SIGKILL unexpectedly (host_out_of_memory)" in problem(scene)
        scene.supervisor.restart()
        await scene.complete(2)
        await scene.until_state(State.READY)
        assert problem(scene) == ""


async def test_end_that_is_told_is_forgotten(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        record = scene.weight_shims[0].directory / RUN_RECORD_NAME
        assert record.exists()
        await scene.weight_shims[0].end(1)
        await scene.passes_until(lambda: scene.weights_state is WeightsState.ABSENT, 2)
        await scene.until(lambda: not record.exists())


async def test_look_at_what_may_not_be_ended_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: RunRecord) -> list[str]:
        raise PermissionError("Operation not permitted")

    async with kept(folder) as scene:
        await scene.loads()
        scene.keeper.detach()
        scene.weight_shims[0].vanish()
        monkeypatch.setattr(orphans, "kill", refuse)
        await scene.keeper.look()
        assert "Operation not permitted" in problem(scene)
        assert scene.weights_state is WeightsState.UNRESPONSIVE


async def test_problem_is_over_with_a_stop(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.unbind()
        await scene.weight_shims[0].end(1, killed=["a helper"])
        await scene.passes_until(lambda: "exited with code 1" in problem(scene), 2)
        assert "helper" not in problem(scene)
        scene.supervisor.stop()
        await scene.passes_until(lambda: problem(scene) == "", 0.5)


async def test_rank_that_is_gone_is_told_and_all_are_loaded_anew_at_the_next_start(
    folder: Path,
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        with capture_logs() as told:
            scene.unbind()
            await scene.passes_until(lambda: scene.weights_state is WeightsState.INCOMPLETE, 2)
        assert [each["event"] for each in told] == ["weights.rank_lost"]
        assert scene.weight_shims[0].stops == [], "the engine that runs has mapped them"
        scene.supervisor.restart()
        await scene.complete(2)
        assert scene.weight_shims[0].stops


async def test_rank_that_went_while_no_daemon_looked_is_no_load(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.supervisor.detach()
        scene.unbind()
        next_daemon = KeptScene(folder)
        await next_daemon.keeper.look()
        assert next_daemon.weights_state is WeightsState.READY, "one look is not enough"
        following = asyncio.create_task(next_daemon.keeper.follow())
        await next_daemon.passes_until(
            lambda: next_daemon.weights_state is WeightsState.INCOMPLETE, 2
        )
        following.cancel()
        next_daemon.keeper.detach()


@pytest.mark.parametrize("seen", [[None] * 9, [0, 1, 2, 0, None, 1, 2]])
async def test_look_that_fails_or_sees_fewer_but_once_or_twice_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seen: list[int | None]
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        left = list(seen)
        with monkeypatch.context() as patch, capture_logs() as told:
            patch.setattr(sockets, "listening", lambda _: left.pop(0) if left else 2)
            await scene.passes_until(lambda: not left, 2)
            await scene.passes(4, 2)
        assert [each["event"] for each in told if each["event"].startswith("weights.")] == []
        assert scene.weights_state is WeightsState.READY


async def test_rank_that_went_just_before_a_start_is_seen_by_it(folder: Path) -> None:
    scene = KeptScene(folder)
    async with running(scene):
        await scene.complete()
        await scene.until_state(State.READY)
        scene.unbind()
        scene.supervisor.restart()
        with capture_logs() as told:
            await scene.loads(2)
        (renewed,) = [each for each in told if each["event"] == "weights.renewed"]
        assert renewed["why"] == "those of a GPU are gone"


async def test_all_ranks_that_end_while_a_start_counts_them_again_are_loaded_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = KeptScene(folder)
    async with running(scene):
        await scene.complete()
        await scene.until_state(State.READY)
        seen = []

        def one(_: Path) -> int:
            seen.append(1)
            return 1

        with monkeypatch.context() as patch:
            patch.setattr(sockets, "listening", one)
            scene.supervisor.restart()
            await scene.passes_until(lambda: len(seen) == 1, 0.1)
            scene.unbind()
            await scene.weight_shims[0].end(1)
        await scene.loads(2)


async def test_start_does_not_wait_for_looks_that_see_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = KeptScene(folder)
    async with running(scene):
        await scene.complete()
        await scene.until_state(State.READY)
        left: list[int | None] = [1]
        monkeypatch.setattr(sockets, "listening", lambda _: left.pop() if left else None)
        scene.supervisor.restart()
        await scene.passes_until(lambda: len(scene.engine_shims) == 2, 0.5)
        assert len(scene.weight_shims) == 1, "a look that fails says nothing"


async def test_stop_is_heard_while_a_start_counts_them_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = KeptScene(folder)
    async with running(scene):
        await scene.complete()
        await scene.until_state(State.READY)
        left: list[int | None] = [1]
        monkeypatch.setattr(sockets, "listening", lambda _: left.pop() if left else None)
        scene.supervisor.restart()
        await scene.passes_until(lambda: not left, 0.1)
        scene.supervisor.stop()
        began = scene.clock.now
        await scene.passes_until(lambda: scene.weights_state is WeightsState.ABSENT, 0.1)
        assert scene.clock.now - began <= 2 * LOAD_LOOK_S
        assert len(scene.engine_shims) == 1


async def test_record_of_another_run_says_nothing_of_this_one(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.loads()
        file = LoadedFile(scene.settings.context.weights_directory)
        other = Loaded("another", {}, whole=False, kept=True, complete=True)
        await scene.supervisor.saved()
        scene.supervisor.detach()
        scene.keeper.detach()
        file.save(other)
        before = read_record(str(file._file.path))
        next_daemon = KeptScene(folder)
        await next_daemon.keeper.look()
        status = next_daemon.keeper.status
        assert status is not None
        assert (status.state, status.ranks_ready, status.kept) == (WeightsState.LOADING, 0, False)
        next_daemon.keeper.keep(stay=False)
        assert read_record(str(file._file.path)) == before
        next_daemon.keeper.detach()


async def test_mistake_that_lets_go_of_them_finds_them_again(folder: Path) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        scene.weight_shims[0].hang_up()
        await scene.passes(10, 1)
        assert scene.weights_state is WeightsState.READY
        assert len(scene.weight_shims) == 1


async def test_engine_without_preload_has_no_weights(folder: Path) -> None:
    scene = KeptScene(folder)
    scene.text = scene.text.replace("preload = true", "preload = false")
    other_settings(scene, "")
    async with running(scene):
        await scene.until_state(State.READY)
        assert scene.weight_shims == []
        assert scene.keeper.status is None
