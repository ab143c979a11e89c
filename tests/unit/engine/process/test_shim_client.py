import asyncio
import socket
from pathlib import Path

import pytest

from tests.helpers.make import spec
from tests.helpers.shims import FakeShim
from vllmd.engine.process import shim_client
from vllmd.engine.process.shim_client import ShimClient
from vllmd.errors import ShimError
from vllmd.shim import proc, protocol
from vllmd.shim.protocol import Message


async def connected(directory: Path) -> tuple[FakeShim, ShimClient]:
    shim = FakeShim(spec(directory, ["x"]))
    await shim.listen()
    client = await ShimClient.connect(directory)
    assert client is not None
    return shim, client


async def test_connect_nobody_there_is_none(tmp_path: Path) -> None:
    assert await ShimClient.connect(tmp_path) is None


async def test_connect_learns_what_runs(tmp_path: Path) -> None:
    shim, client = await connected(tmp_path)
    assert client.run["run_id"] == "run-1"
    client.close()
    shim.vanish()


async def test_exited_gives_the_record(tmp_path: Path) -> None:
    shim, client = await connected(tmp_path)
    await shim.end(9)
    record = await asyncio.wait_for(client.exited, 5)
    assert record is not None
    assert record["exit_code"] == 9


async def test_exited_without_a_word_is_none(tmp_path: Path) -> None:
    shim, client = await connected(tmp_path)
    shim.vanish()
    assert await asyncio.wait_for(client.exited, 5) is None


async def test_stop_asks_the_shim(tmp_path: Path) -> None:
    shim, client = await connected(tmp_path)
    await client.stop(12)
    assert shim.stops == [12]
    await client.exited


async def test_ask_nobody_there_any_more_raises(tmp_path: Path) -> None:
    shim, client = await connected(tmp_path)
    shim.vanish()
    with pytest.raises(ShimError, match="does not answer"):
        await client.ask({"op": "status"})


async def test_connect_silent_shim_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim_client, "CONNECT_TIMEOUT_S", 0.05)
    path = tmp_path / "shim.sock"

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(9)
        writer.close()  # from Python 3.13 on, a writer that nobody has closes its connection

    server = await asyncio.start_unix_server(silent, str(path))
    with pytest.raises(ShimError, match="does not answer"):
        await ShimClient.connect(tmp_path)
    server.close()


@pytest.mark.parametrize("answer", [{"error": "12 clients watch already"}, {"pid": 1}])
async def test_connect_shim_that_cannot_be_watched_raises(tmp_path: Path, answer: Message) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(protocol.encode(answer))

    server = await asyncio.start_unix_server(refuse, str(tmp_path / "shim.sock"))
    with pytest.raises(ShimError, match=r"cannot be watched: .*(12 clients watch already|pid)"):
        await ShimClient.connect(tmp_path)
    server.close()


async def test_connect_stopped_shim_whose_queue_is_full_raises_the_same(tmp_path: Path) -> None:
    """A shim that was stopped takes no connection: once its backlog is full, errors differ."""
    path = tmp_path / "shim.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        listener.setblocking(False)
        first = socket.socket(socket.AF_UNIX)
        first.connect(str(path))
        with pytest.raises(ShimError, match="does not answer: OSError"):
            await ShimClient.connect(tmp_path)
        with pytest.raises(ShimError, match="does not answer: OSError"):
            await shim_client.ask(path, {"op": "status"})
        first.close()


@pytest.mark.parametrize(
    "error", [OSError(107, "not connected"), PermissionError(13, "no"), ValueError("too long")]
)
async def test_connect_any_failure_of_the_socket_is_one_of_the_shim(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(asyncio, "open_unix_connection", fails)
    with pytest.raises(ShimError):
        await ShimClient.connect(tmp_path)
    with pytest.raises(ShimError):
        await shim_client.ask(tmp_path / "shim.sock", {"op": "status"})


async def test_connect_stranger_raises(tmp_path: Path) -> None:
    async def stranger(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0\n")

    server = await asyncio.start_unix_server(stranger, str(tmp_path / "shim.sock"))
    with pytest.raises(ShimError, match="SSH"):
        await ShimClient.connect(tmp_path)
    server.close()


@pytest.mark.parametrize(("state", "asked"), [("D", 3), ("T", 1)])
async def test_stop_of_a_shim_that_waits_for_its_disk_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, asked: int
) -> None:
    monkeypatch.setattr(shim_client, "TRIES", 3)
    shim, client = await connected(tmp_path)
    stat = proc.Stat(1, "shim", state, 1, 1, 1)
    monkeypatch.setattr(proc, "read_stat", lambda _: stat)
    requests: list[Message] = []

    async def silent(request: Message) -> Message:
        requests.append(request)
        raise ShimError("does not answer")

    monkeypatch.setattr(client, "ask", silent)
    with pytest.raises(ShimError):
        await client.stop(12)
    assert len(requests) == asked
    shim.vanish()
