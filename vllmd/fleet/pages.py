"""Reads pages of other hosts' vllmd: many at a time, each bounded in time and size, none trusted.

The caller says which path. What a host does not answer is a `HostPageError`, in words that a row of
a table has room for; it never ends the reading of the others.
"""

import asyncio
import json
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Self

import attrs
import httpx

from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.errors import ConfigError, VllmdError
from vllmd.shim.files import read_regular
from vllmd.util.units import KIB, MIB, format_bytes
from vllmd.util.within import run_within

MAX_PAGE_BYTES = 4 * MIB
"""A status document of eight GPUs and ten engines has 60 kB."""
MAX_SECRET_BYTES = 64 * KIB
AT_ONCE = 32
"""So many hosts are asked at a time: 300 take ten times as long as one, and no more sockets."""

NO_ANSWER = (
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,  # of TLS, too
    RuntimeError,  # a client that was closed meanwhile
    ValueError,  # a name that cannot be encoded is a UnicodeError
)
"""By what a host that gives no page shows itself, or this end that can ask nobody."""


class HostPageError(VllmdError):
    """A host did not answer with what was asked for; `reason` says why, without its name."""

    exit_code = 69

    def __init__(
        self,
        host: FleetHost,
        reason: str,
        *,
        status: int | None = None,
        by_access: bool = False,
    ) -> None:
        super().__init__(f"{host}: {reason}")
        self.host = host
        self.reason = reason
        self.status = status
        """The code of HTTP, if there was an answer."""
        self.by_access = by_access or status == 401
        """Whether another password or certificate may help: those in the files may be others by
        now."""


@attrs.frozen
class PageAccess:
    """How pages are asked for: by TLS, as whom, and how long is waited."""

    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = attrs.field(default=None, repr=False)
    timeout_s: float = 5.0

    @classmethod
    async def of(cls, fleet: FleetConfig) -> Self:
        """Read the files that `[fleet]` names; a disk that hangs holds up no event loop.

        Raises: ConfigError: one cannot be read, or is of no use.
        """
        context = await _tls_context(fleet) if fleet.uses_tls else None
        login = None
        if fleet.user is not None:
            password = await _password(fleet.password_file) if fleet.password_file else ""
            login = (fleet.user, password)
        return cls(context, login, fleet.timeout_s)


async def _tls_context(fleet: FleetConfig) -> ssl.SSLContext:
    path = fleet.ca_file
    try:
        return await run_within(path or "/etc/ssl", lambda: ssl.create_default_context(cafile=path))
    except (OSError, ssl.SSLError) as error:  # an SSLError is an OSError
        what = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"fleet.ca_file: {path} cannot be used: {what}; it takes certificates in PEM"
        ) from None


async def _password(path: str) -> str:
    try:
        text = await run_within(path, lambda: read_regular(path, MAX_SECRET_BYTES))
        password = text.decode().strip("\r\n")
    except OSError as error:
        raise ConfigError(
            f"fleet.password_file: {path} cannot be read: {error.strerror or error}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"fleet.password_file: {path} is not UTF-8: write it again") from None
    if not password:
        raise ConfigError(f"fleet.password_file: {path} is empty: write the password into it")
    return password


class HostPages:
    """Asks hosts for their pages; connections are kept for those who ask again.

    Used as ``async with HostPages(access) as pages``.
    """

    def __init__(
        self, access: PageAccess, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Make it; `transport` is for tests."""
        self._access = access
        self._scheme = "https" if access.tls else "http"
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._client = httpx.AsyncClient(
            verify=access.tls or False,
            auth=access.login,
            timeout=None,  # all of a request has one limit, below
            follow_redirects=False,  # a password goes to the host that is named, and no other
            trust_env=False,  # nor through a proxy
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    async def get(self, host: FleetHost, path: str, *, max_bytes: int = MAX_PAGE_BYTES) -> bytes:
        """Return what a host answers to `path`, which begins with ``/``.

        Raises: HostPageError: it did not answer 200, in time, and with at most `max_bytes`.
        """
        limit_s = self._access.timeout_s
        async with self._turn:
            try:
                async with asyncio.timeout(limit_s):
                    return await self._read(host, path, max_bytes)
            except TimeoutError:
                raise HostPageError(host, f"no answer within {limit_s:g} s") from None
            except NO_ANSWER as error:
                by_access = any(isinstance(each, ssl.SSLError) for each in _causes(error))
                raise HostPageError(host, _in_words(error), by_access=by_access) from None

    async def get_json(
        self, host: FleetHost, path: str, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> Mapping[str, Any]:
        """Return the object that a host answers. Raises: HostPageError, also if it is none."""
        content = await self.get(host, path, max_bytes=max_bytes)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise HostPageError(host, f"answers, but {path} is no page of vllmd", status=200)
        return found

    async def all_json(
        self, hosts: Iterable[FleetHost], path: str, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> dict[FleetHost, Mapping[str, Any] | HostPageError]:
        """Ask all of them, and return what each answers, or why it does not."""

        async def one(host: FleetHost) -> Mapping[str, Any] | HostPageError:
            try:
                return await self.get_json(host, path, max_bytes=max_bytes)
            except HostPageError as problem:
                return problem

        wanted = tuple(hosts)
        return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))

    async def _read(self, host: FleetHost, path: str, max_bytes: int) -> bytes:
        url = f"{self._scheme}://{host.netloc}{path}"
        content = bytearray()
        async with self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise HostPageError(
                    host, _of_status(response.status_code), status=response.status_code
                )
            async for part in response.aiter_bytes():
                content += part
                if len(content) > max_bytes:
                    said = f"sends more than {format_bytes(max_bytes)}"
                    raise HostPageError(host, said, status=200)
        return bytes(content)


def _of_status(code: int) -> str:
    if code == 401:
        return "wants another user or password: fleet.user, fleet.password_file"
    if code == 404:
        return "has no such page: an older vllmd, or another program"
    if code == 400:
        return "refuses (400): does it speak TLS? fleet.ca_file, fleet.tls"
    return f"answered {code}"


def _in_words(error: BaseException) -> str:
    """Say why there was no answer, by the deepest cause that the system named."""
    for each in reversed(_causes(error)):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {each.verify_message}"
        if isinstance(each, ssl.SSLError):
            return f"does not speak TLS as asked: {each.reason or each}"
        if isinstance(each, ConnectionRefusedError):
            return "Connection refused"  # asyncio has words of its own
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    if isinstance(error, httpx.RemoteProtocolError):
        return "answers no HTTP: does it speak TLS? fleet.ca_file, fleet.tls"
    return str(error) or type(error).__name__


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it, the deepest last."""
    causes: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in causes:
            continue
        causes.append(each)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        waiting += [each.__cause__, each.__context__]
    return causes
