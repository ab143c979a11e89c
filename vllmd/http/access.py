"""Who may see the exporter's pages: what the web configuration asks of each request."""

import base64
import binascii
import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vllmd.events.base import emit
from vllmd.events.requests import LoginRefused
from vllmd.http.passwords import LoginResult, Passwords
from vllmd.http.web_config import VERIFY, RateLimit
from vllmd.http.web_file import WebFile
from vllmd.util.clock import Clock

SAID_EVERY_S = 60.0
COME_AGAIN_S = 1
USER = "vllmd.user"
"""In the scope of a request: who asks, if the web configuration has made sure of that."""
_READINESS = ("/-/healthy", "/-/ready", "/-/started")
_ONE_ENGINE = ("/ready/", "/started/")

_log = structlog.get_logger()


class Access:
    """An application in front of the exporter's: headers, a limit to requests, passwords."""

    def __init__(
        self,
        app: ASGIApp,
        file: WebFile,
        passwords: Passwords,
        clock: Clock,
        *,
        open_readiness: bool = False,
    ) -> None:
        self._app = app
        self._file = file
        self._passwords = passwords
        self._limit = Limit(clock)
        self._refusals = LoginRefusals(clock)
        self._open_readiness = open_readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why it is not answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = await self._refusal(scope)
        await (answer or self._app)(scope, receive, self._with_headers(send))

    async def _refusal(self, scope: Scope) -> Response | None:
        """Return what to say to a request that is not let in."""
        loaded = self._file.current()
        if loaded is None:
            return _response(503, "the web configuration cannot be used: 'vllmd status' says why")
        if loaded.context is not None and scope.get("scheme") != "https":
            return _response(
                400, "this exporter speaks TLS: ask for https://", {"connection": "close"}
            )
        config = loaded.config
        if config.rate_limit is not None and not self._limit.allows(config.rate_limit):
            return _response(429, "more requests than rate_limit allows", _again())
        if config.tls is not None and config.tls.client_auth_type == VERIFY:
            scope[USER] = "a client certificate"  # or the handshake would have failed
        if not config.users or (self._open_readiness and is_readiness(scope["path"])):
            return None
        return await self._login(scope, config.users)

    async def _login(self, scope: Scope, users: Mapping[str, str]) -> Response | None:
        login = read_login(Headers(scope=scope).get("authorization", ""))
        if login is None:
            return _unauthorized("a user and a password are needed")
        user, password = login
        address = (scope.get("client") or ("",))[0]
        verdict = await self._passwords.verdict(users, user, password, address)
        if verdict is LoginResult.ACCEPTED:
            scope[USER] = user
            return None
        self._refusals.count(address)
        if verdict is LoginResult.BUSY:
            return _response(429, "too many passwords wait to be checked", _again())
        return _unauthorized("the user or the password is wrong")

    def _with_headers(self, send: Send) -> Send:
        loaded = self._file.current()
        if loaded is None or not loaded.config.headers:
            return send
        more = loaded.config.headers

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in more.items():
                    headers[name] = value
            await send(message)

        return sent


class Limit:
    """A bucket of tokens: each request takes one, and one is added each interval."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: RateLimit | None = None
        self._tokens = 0.0
        self._at = 0.0

    def allows(self, limit: RateLimit) -> bool:
        """Take a token, if there is one."""
        now = self._clock.monotonic()
        if limit != self._of:
            self._of, self._tokens = limit, float(limit.burst)
        else:
            more = (now - self._at) / limit.interval_s
            self._tokens = min(float(limit.burst), self._tokens + more)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class LoginRefusals:
    """Says that logins were refused: the first at once, then how many, once a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reported_at = -math.inf
        self._unreported = 0

    def count(self, address: str) -> None:
        """Count one; `address` is where the last came from."""
        self._unreported += 1
        now = self._clock.monotonic()
        if now - self._reported_at < SAID_EVERY_S:
            return
        emit(_log, LoginRefused(count=self._unreported, last_address=address))
        self._reported_at, self._unreported = now, 0


def is_readiness(path: str) -> bool:
    """Tell whether a path is what load balancers ask for: who lives, who serves."""
    of_one = path.startswith(_ONE_ENGINE) and path.count("/") == 2
    return path in _READINESS or of_one


def read_login(header: str) -> tuple[str, bytes] | None:
    """Return user and password of an ``Authorization`` header; None if it has none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user.decode(errors="surrogateescape"), password) if colon else None


def _unauthorized(reason: str) -> Response:
    return _response(401, reason, {"www-authenticate": 'Basic realm="vllmd", charset="UTF-8"'})


def _again() -> dict[str, str]:
    return {"retry-after": str(COME_AGAIN_S)}


def _response(
    status: int, reason: str, headers: MutableMapping[str, Any] | None = None
) -> Response:
    return PlainTextResponse(f"{reason}\n", status_code=status, headers=headers)
