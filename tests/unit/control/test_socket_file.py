import asyncio
import errno
import shutil
import socket
from pathlib import Path

import structlog

from tests.helpers.clock import FakeClock
from vllmd.control.server import listen
from vllmd.control.socket_file import LOOK_S, keep_there
from vllmd.events.requests import ControlSocketLost


async def test_keep_there_makes_a_removed_socket_anew_and_says_so(tmp_path: Path) -> None:
    path, clock = tmp_path / "run" / "c.sock", FakeClock()
    path.parent.mkdir()
    made: list[socket.socket] = [listen(path)]
    task = asyncio.create_task(keep_there(path, made.append, clock))
    with structlog.testing.capture_logs() as logs:
        await clock.advance(2 * LOOK_S)
        assert len(made) == 1
        path.unlink()
        await clock.advance(LOOK_S)
        assert len(made) == 2
        shutil.rmtree(path.parent)
        await clock.advance(LOOK_S)
    assert [each["event"] for each in logs] == [ControlSocketLost.name] * 2
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    shutil.rmtree(path.parent)
    path.parent.touch()  # nothing can be made there
    with structlog.testing.capture_logs() as logs:
        await clock.advance(LOOK_S)
        await clock.advance(LOOK_S)
    assert [each["log_level"] for each in logs] == ["error"]
    task.cancel()
    for each in made:
        each.close()


async def test_keep_there_leaves_no_file_that_nobody_serves(tmp_path: Path) -> None:
    """Without a descriptor for it, whoever asks would wait for ever, and it would stay so."""
    path, clock = tmp_path / "c.sock", FakeClock()
    made: list[socket.socket] = []
    refusals = [OSError(errno.EMFILE, "Too many open files")]

    def renew(listener: socket.socket) -> None:
        if refusals:
            raise refusals.pop()
        made.append(listener)

    task = asyncio.create_task(keep_there(path, renew, clock))
    with structlog.testing.capture_logs() as logs:
        await clock.advance(LOOK_S)
        assert not path.exists()
        await clock.advance(LOOK_S)
    assert [each["log_level"] for each in logs] == ["error", "warning"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    task.cancel()
    made[0].close()
