import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from tests.helpers.web import CERTIFICATES
from vllmd.http.tls import TlsError, names_of, server_context
from vllmd.http.web_config import CIPHERS, CURVES, VERIFY, TlsServer

SERVER = TlsServer("server.pem", "server.key")
MUTUAL = attrs.evolve(SERVER, client_auth_type=VERIFY, client_ca_file="authority.pem")


def client_context(certificate: str = "", **options: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    if certificate:
        context.load_cert_chain(
            CERTIFICATES / f"{certificate}.pem", CERTIFICATES / f"{certificate}.key"
        )
    for name, value in options.items():
        setattr(context, name, value)
    return context


@asynccontextmanager
async def served(settings: TlsServer) -> AsyncIterator[int]:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    context = server_context(settings, CERTIFICATES)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(settings: TlsServer, context: ssl.SSLContext) -> tuple[bytes, Any]:
    async with served(settings) as port:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        said = await reader.read()
        cipher = writer.get_extra_info("cipher")
        writer.close()
        return said, cipher


async def is_let_in(settings: TlsServer, context: ssl.SSLContext) -> bool:
    try:
        said, _ = await ask(settings, context)
    except (ssl.SSLError, ConnectionError):
        return False
    return said == b"hello"


async def test_context_serves_whoever_trusts_the_authority() -> None:
    assert await is_let_in(SERVER, client_context())
    assert not await is_let_in(SERVER, ssl.create_default_context())


async def test_context_of_content_in_the_configuration_serves() -> None:
    inline = TlsServer(
        cert=(CERTIFICATES / "server.pem").read_text(),
        key=(CERTIFICATES / "server.key").read_text(),
        client_ca=(CERTIFICATES / "authority.pem").read_text(),
        client_auth_type=VERIFY,
    )
    assert await is_let_in(inline, client_context("client"))
    assert not await is_let_in(inline, client_context())


@pytest.mark.parametrize(
    ("kind", "with_none", "with_unknown"),
    [(VERIFY, False, False), ("VerifyClientCertIfGiven", True, False)],
)
async def test_context_verifies_clients(kind: str, with_none: bool, with_unknown: bool) -> None:
    settings = attrs.evolve(MUTUAL, client_auth_type=kind)
    assert await is_let_in(settings, client_context("client"))
    assert await is_let_in(settings, client_context()) is with_none
    assert await is_let_in(settings, client_context("unknown")) is with_unknown


async def test_context_without_authority_takes_those_of_the_system() -> None:
    settings = attrs.evolve(MUTUAL, client_ca_file="")
    assert not await is_let_in(settings, client_context("client"))
    assert not await is_let_in(settings, client_context())


@pytest.mark.parametrize(
    ("allowed", "let_in"),
    [
        ("prometheus.example", True),
        ("2001:db8::1", True),
        ("ops@example.org", True),
        ("spiffe://example.org/prometheus", True),
        ("client", False),
        ("example", False),
        ("2001:DB8:0:0:0:0:0:1", False),
    ],
)
async def test_context_lets_in_whose_certificate_has_an_allowed_name(
    allowed: str, let_in: bool
) -> None:
    settings = attrs.evolve(MUTUAL, client_allowed_sans=("other", allowed))
    assert await is_let_in(settings, client_context("client")) is let_in


async def test_context_allowed_names_hold_for_tls_1_2_too() -> None:
    old = client_context("client", maximum_version=ssl.TLSVersion.TLSv1_2)
    for name, let_in in (("prometheus.example", True), ("other", False)):
        settings = attrs.evolve(MUTUAL, client_allowed_sans=(name,))
        assert await is_let_in(settings, old) is let_in


async def test_context_versions_and_suites_are_those_asked_for() -> None:
    old = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    new = client_context(minimum_version=ssl.TLSVersion.TLSv1_3)
    assert not await is_let_in(attrs.evolve(SERVER, min_version="TLS13"), old)
    assert not await is_let_in(attrs.evolve(SERVER, max_version="TLS12"), new)
    suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    settings = attrs.evolve(SERVER, cipher_suites=(suite,))
    assert (await ask(settings, old))[1][0] == CIPHERS[suite]
    only_new = attrs.evolve(SERVER, cipher_suites=("TLS_AES_128_GCM_SHA256",))
    assert not await is_let_in(only_new, old)
    assert await is_let_in(only_new, new)


async def test_context_server_or_client_chooses_the_suite() -> None:
    first, second = (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    )
    client = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(f"{CIPHERS[second]}:{CIPHERS[first]}")
    for prefer, chosen in ((True, first), (False, second)):
        settings = attrs.evolve(
            SERVER, cipher_suites=(first, second), prefer_server_cipher_suites=prefer
        )
        assert (await ask(settings, client))[1][0] == CIPHERS[chosen]


@pytest.mark.parametrize("curve", CURVES)
async def test_context_is_held_to_one_curve(curve: str) -> None:
    settings = attrs.evolve(SERVER, curve=curve)
    assert await is_let_in(settings, client_context())
    other = client_context()
    other.set_ecdh_curve("secp384r1" if curve != "CurveP384" else "prime256v1")
    assert not await is_let_in(settings, other)


def test_context_takes_every_suite_of_the_toolkit() -> None:
    for name in CIPHERS:
        server_context(attrs.evolve(SERVER, cipher_suites=(name,)), CERTIFICATES)


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"cert_file": "gone.pem"}, "cert_file", "gone.pem cannot be read: No such file"),
        ({"key_file": "gone.key"}, "key_file", "gone.key cannot be read: No such file"),
        ({"key_file": "client.key"}, "cert_file", "server.pem and client.key cannot be used: key "),
        ({"cert_file": "server.key"}, "cert_file", "server.key and server.key cannot be used: "),
        ({"key_file": "README.md"}, "cert_file", "server.pem and README.md cannot be used: "),
        ({"key_file": "encrypted.key"}, "key_file", "encrypted.key is encrypted"),
        ({"client_ca_file": "README.md"}, "client_ca_file", "README.md has no certificate: "),
        (
            {"client_ca_file": "/dev/null"},
            "client_ca_file",
            "/dev/null cannot be read: it is",
        ),
        ({"client_ca_file": "gone.pem"}, "client_ca_file", "gone.pem cannot be read: No such file"),
    ],
)
def test_context_of_files_that_cannot_be_used_says_which(
    changes: dict[str, str], key: str, message: str
) -> None:
    settings = attrs.evolve(MUTUAL, **changes)  # type: ignore[arg-type]
    with pytest.raises(TlsError) as caught:
        server_context(settings, CERTIFICATES)
    problem = caught.value.problem
    assert problem.key == f"tls_server_config.{key}"
    assert message in problem.message
    assert problem.fix


def test_names_of_nothing_are_none() -> None:
    assert list(names_of({})) == []
    assert list(names_of({"subjectAltName": (("IP Address", "10.0.0.1"), ("DirName", ()))})) == [
        "10.0.0.1"
    ]
