import asyncio
from pathlib import Path

from tests.helpers.answering_shim import answering_shim
from tests.helpers.eventually import eventually
from vllmd.engine.output.shim_status import ShimStatus


async def told(status: ShimStatus) -> None:
    """Wait until the shim has told of a change."""
    assert status._told is not None
    await asyncio.wait({status._told})


async def test_look_at_a_shim_that_has_no_news_does_not_wake_it(tmp_path: Path) -> None:
    with answering_shim(tmp_path / "s") as shim:
        status = ShimStatus(tmp_path / "s")
        assert await status.look()
        await eventually(lambda: len(shim.asked) == 3)  # a client, and two requests
        for _ in range(5):
            assert not await status.look()
        assert len(shim.asked) == 3
        status.close()


async def test_look_after_a_change_has_what_the_shim_told(tmp_path: Path) -> None:
    with answering_shim(tmp_path / "s", output_bytes=1) as shim:
        status = ShimStatus(tmp_path / "s")
        await status.look()
        for size in (2, 3):
            shim.status["output_bytes"] = size
            await told(status)
            assert await status.look()
            assert status.last["output_bytes"] == size
            assert not await status.look()
        status.close()


async def test_look_while_the_disk_has_not_all_asks_each_time(tmp_path: Path) -> None:
    with answering_shim(tmp_path / "s", log_settled=False) as shim:
        status = ShimStatus(tmp_path / "s")
        for _ in range(3):
            assert await status.look()
        shim.status["log_settled"] = True
        assert await status.look()
        assert not await status.look()
        status.close()


async def test_look_at_a_shim_of_an_older_version_asks_each_time(tmp_path: Path) -> None:
    with answering_shim(tmp_path / "s") as shim:
        del shim.status["log_settled"]
        status = ShimStatus(tmp_path / "s")
        for size in range(3):
            shim.status["output_bytes"] = size
            assert await status.look()
            assert status.last["output_bytes"] == size
        status.close()


async def test_look_after_the_shim_has_gone_and_come_again(tmp_path: Path) -> None:
    status = ShimStatus(tmp_path / "s")
    with answering_shim(tmp_path / "s", unfinished="bar") as shim:
        await status.look()
        assert (status.engine_runs, status.last["unfinished"]) == (True, "bar")
        shim.close()
        await told(status)
        for _ in range(2):
            assert await status.look()
            assert not status.engine_runs
            assert "unfinished" not in status.last
    with answering_shim(tmp_path / "s", run_id="other"):
        assert await status.look()
        assert (status.engine_runs, status.last["run_id"]) == (True, "other")
        status.close()
