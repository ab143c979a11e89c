import asyncio
import socket
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.helpers.eventually import eventually
from tests.helpers.parts import running
from vllmd.daemon.environment import Environment
from vllmd.daemon.servers import Servers
from vllmd.util.clock import SystemClock


def saying(text: str) -> Starlette:
    return Starlette(routes=[Route("/", lambda _: PlainTextResponse(text))])


def servers(listener: socket.socket, control_path: Path) -> Servers:
    return Servers(
        Environment(),
        exporter_socket=listener,
        exporter_app=saying("exporter"),
        tls=lambda: None,
        control_path=control_path,
        control_app=saying("control"),
    )


async def said(url: str, socket_path: Path | None = None) -> str:
    transport = httpx.AsyncHTTPTransport(uds=str(socket_path) if socket_path else None)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        return (await client.get(url)).text


async def test_each_serves_its_own_until_both_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.control.socket_file.LOOK_S", 0.01)
    listener, path = socket.create_server(("127.0.0.1", 0)), tmp_path / "c.sock"
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    made, clock = servers(listener, path), SystemClock()
    parts = list(made.parts())
    serving = [asyncio.ensure_future(part.run()) for part in parts]
    async with running([made.kept_there(clock)], clock):
        assert await said(url) == "exporter"
        assert await said("http://control/", path) == "control"
        path.unlink()
        await eventually(path.exists)
        assert await said("http://control/", path) == "control"
    made.close()
    async with asyncio.timeout(20):
        await asyncio.gather(*serving)
    with pytest.raises(httpx.ConnectError):
        await said(url)


def test_control_socket_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(FileNotFoundError):
        servers(listener, tmp_path / "none" / "c.sock")
