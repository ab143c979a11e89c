import socket
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from tests.helpers.clock import LateClock
from tests.helpers.make import config
from tests.helpers.web import TLS, USERS, write
from vllmd.config.model import DaemonConfig
from vllmd.http.passwords import LoginResult
from vllmd.http.service import WebSettings

PAGE = PlainTextResponse("page")


def settings(path: Path | None = None, listen: str = "") -> DaemonConfig:
    keys = [f'web_config_file = "{path}"'] if path else []
    keys += [f'listen = "{listen}"'] if listen else []
    return config("\n".join(["[daemon]", *keys])).daemon


def made(path: Path | None = None, listen: str = "") -> WebSettings:
    return WebSettings(settings(path, listen), LateClock())


async def answer(app: ASGIApp) -> int:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://x") as client:
        return (await client.get("/metrics")).status_code


async def test_without_a_web_configuration_nothing_is_asked_for() -> None:
    web = made()
    assert await answer(web.guard(PAGE)) == 200
    assert (web.tls(), web.problem(), web.last_read(), web.logins()) == (None,) * 4
    assert web.about()["web_config"] is None


async def test_with_one_its_tls_its_users_and_its_figures_are_there(tmp_path: Path) -> None:
    web = made(write(tmp_path, TLS + USERS), listen="127.0.0.1:9")
    assert await answer(web.guard(PAGE)) == 401
    assert web.tls() is not None
    assert web.url() == "https://127.0.0.1:9"
    read = web.last_read()
    assert read is not None
    assert read[0] is True
    assert web.logins() == {"accepted": 0, "wrong": 0, "busy": 0}
    (tmp_path / "web.yml").write_text("x: 1")
    assert "x: is not a known key" in str(web.problem())
    assert web.last_read() == (False, read[1])
    about = web.about()
    assert about["web_config"] == str(tmp_path / "web.yml")
    assert about["web_config_problem"] == web.problem()
    assert about["exporter"] == "https://127.0.0.1:9"


async def test_configure_keeps_the_file_unless_it_is_another(tmp_path: Path) -> None:
    path = write(tmp_path, TLS + USERS)
    web = made(path)
    app, before = web.guard(PAGE), web.tls()
    path.write_text("broken: 1")
    web.configure(settings(path))
    assert web.tls() is before
    web._logins.counts[LoginResult.WRONG] += 3
    web.configure(settings(path))
    assert (web.logins() or {})["wrong"] == 3
    assert await answer(app) == 401
    web.configure(settings(write(tmp_path / "other", "")))
    assert web.tls() is None
    assert await answer(app) == 200
    web.configure(settings())
    assert web.last_read() is None


def test_listen_takes_the_managers_socket_and_says_where_the_key_differs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, capture_logs() as logs:
        port = held.getsockname()[1]
        for listen in ("", f"127.0.0.1:{port}", "127.0.0.1:1"):
            web = made(listen=listen)
            with web.listen({"exporter": held}) as listening:
                assert listening.getsockname()[1] == port
                assert listening.fileno() != held.fileno()
                assert web.about()["listen"] == f"127.0.0.1:{port}"
    assert [log["problem"] for log in logs] == [
        f"daemon.listen is 127.0.0.1:1, and vllmd-exporter.socket of systemd listens on "
        f"127.0.0.1:{port}: the unit decides; change it there (systemctl edit "
        "vllmd-exporter.socket), or take the key out"
    ]


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]")])
def test_listen_binds_the_address_of_the_key(host: str, shown: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    web = made(listen=f"{host}:{port}")
    with web.listen({}):
        assert web.about()["listen"] == f"{shown}:{port}"
        assert web.url() == f"http://{shown}:{port}"
