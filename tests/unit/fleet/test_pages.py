import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.ports import free_port
from tests.helpers.web import CERTIFICATES, server_context
from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.errors import ConfigError
from vllmd.fleet.pages import AT_ONCE, HostPageError, HostPages, PageAccess

A, B = FleetHost("a"), FleetHost("b")


def pages(
    answer: Callable[[httpx.Request], httpx.Response], access: PageAccess | None = None
) -> HostPages:
    return HostPages(access or PageAccess(), transport=httpx.MockTransport(answer))


async def reason(made: HostPages, host: FleetHost = A, max_bytes: int = 1000) -> str:
    async with made:
        with pytest.raises(HostPageError) as caught:
            await made.get_json(host, "/status.json", max_bytes=max_bytes)
    assert str(caught.value) == f"{host}: {caught.value.reason}"
    return caught.value.reason


async def test_each_host_answers_for_itself_and_one_that_fails_ends_nothing() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "b":
            raise httpx.ConnectError("x") from ConnectionRefusedError(111, "Connection refused")
        return httpx.Response(200, json={"path": request.url.path, "port": request.url.port})

    async with pages(answer) as made:
        found = await made.all_json([A, B], "/status.json")
    assert found[A] == {"path": "/status.json", "port": 9840}
    problem = found[B]
    assert isinstance(problem, HostPageError)
    assert problem.reason == "Connection refused"
    assert problem.host is B


async def test_user_and_password_are_given_and_a_redirection_is_not_followed() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(302, headers={"location": "http://elsewhere/"})

    said = await reason(pages(answer, PageAccess(login=("vllmd", "secret"))))
    assert said == "answered 302"
    assert seen == [httpx.BasicAuth("vllmd", "secret")._auth_header]
    assert "secret" not in repr(PageAccess(login=("vllmd", "secret")))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(401), "fleet.password_file"),
        (httpx.Response(404), "no such page"),
        (httpx.Response(400), "does it speak TLS"),
        (httpx.Response(503), "answered 503"),
        (httpx.Response(200, content=b"x" * 1001), "sends more than"),
        (httpx.Response(200, content=b"hello"), "no page of vllmd"),
        (httpx.Response(200, content=b"[]"), "no page of vllmd"),
        (httpx.Response(200, content=b"[" * 900), "no page of vllmd"),
    ],
)
async def test_what_is_no_page_is_told_in_words(answer: httpx.Response, said: str) -> None:
    assert said in await reason(pages(lambda _: answer))


async def test_a_host_that_sends_without_end_is_given_up_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        made = HostPages(PageAccess(timeout_s=0.05))
        assert await reason(made, FleetHost("127.0.0.1", port)) == "no answer within 0.05 s"


async def test_many_are_asked_at_a_time_and_no_more_than_the_bound() -> None:
    now, most = 0, 0

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        now -= 1
        return httpx.Response(200, json={})

    made = HostPages(PageAccess(), transport=httpx.MockTransport(answer))
    async with made:
        found = await made.all_json([FleetHost(f"h{n}") for n in range(100)], "/")
    assert set(map(str, found.values())) == {"{}"}
    assert most == AT_ONCE


async def test_tls_is_verified_by_the_file_of_certificates() -> None:
    body = json.dumps({"engines": []}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    async with server:
        host = FleetHost("127.0.0.1", server.sockets[0].getsockname()[1])
        named = await PageAccess.of(FleetConfig(ca_file=str(CERTIFICATES / "authority.pem")))
        async with HostPages(named) as made:
            assert await made.get_json(host, "/") == {"engines": []}
        usual = HostPages(await PageAccess.of(FleetConfig(tls=True)))
        assert "its certificate is not trusted" in await reason(usual, host)
        assert "TLS" in await reason(HostPages(PageAccess()), host)


async def test_a_host_that_does_not_listen_says_so() -> None:
    made = HostPages(PageAccess())
    with pytest.raises(HostPageError) as caught:
        await made.get(FleetHost("127.0.0.1", free_port()), "/")
    assert caught.value.reason == "Connection refused"
    await made.close()


@pytest.mark.parametrize("content", [b"[]", b"no JSON"])
async def test_a_host_that_answers_something_else_has_answered(content: bytes) -> None:
    async with pages(lambda _: httpx.Response(200, content=content)) as made:
        with pytest.raises(HostPageError) as caught:
            await made.get_json(A, "/status.json")
    assert caught.value.status == 200


async def test_files_of_secrets_are_read_once_and_what_is_wrong_with_them_is_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "password"
    fleet = FleetConfig(user="vllmd", password_file=str(path))
    with pytest.raises(ConfigError, match=r"fleet\.password_file: .* cannot be read: No such file"):
        await PageAccess.of(fleet)
    path.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        await PageAccess.of(fleet)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        await PageAccess.of(fleet)
    path.write_text("correct horse\n")
    assert (await PageAccess.of(fleet)).login == ("vllmd", "correct horse")
    path.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"fleet\.ca_file: .* cannot be used"):
        await PageAccess.of(FleetConfig(ca_file=str(path)))
    assert isinstance((await PageAccess.of(FleetConfig(tls=True))).tls, ssl.SSLContext)


async def test_a_client_that_was_closed_meanwhile_is_told() -> None:
    made = HostPages(PageAccess())
    async with made:
        pass
    with pytest.raises(HostPageError, match="closed"):
        await made.get(A, "/")


def _tls_error() -> ssl.SSLError:
    error = ssl.SSLError(1, "no")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("answer", "by_access"),
    [
        (httpx.Response(401), True),
        (httpx.Response(503), False),
        (httpx.ConnectError("refused"), False),
        (_tls_error(), True),
        (UnicodeError("label empty"), False),
    ],
)
async def test_what_another_password_or_certificate_may_help_is_known(
    answer: Any, by_access: bool
) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise httpx.ConnectError("no") from answer
        assert isinstance(answer, httpx.Response)
        return answer

    with pytest.raises(HostPageError) as caught:
        await pages(handle).get(A, "/")
    assert caught.value.by_access is by_access
