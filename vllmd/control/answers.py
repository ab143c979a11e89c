"""What the control socket answers when it does not do what it was asked for."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from vllmd.control.parameters import SHOWN_CHARS, shown
from vllmd.control.peer import Peer
from vllmd.events.base import emit
from vllmd.events.requests import RequestRefused
from vllmd.util.units import MINUTE_S

LOGGED_A_MINUTE = 6
"""How many refusals of one user are logged: everybody may ask, and each would be in the history."""
MAX_USERS = 16
"""And of how many users; the others are counted together."""

_log = structlog.get_logger()


Mask = Callable[[Any], Any]
"""Takes a value of JSON's kinds, returns it without secrets."""


class MaskedJson(Response):
    """An answer whose secrets are masked as it leaves, by what the application was given."""

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status_code=status_code)
        self.content = content
        self._more = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mask it and send it."""
        mask: Mask = scope["app"].state.mask
        await JSONResponse(mask(self.content), self.status_code, self._more)(scope, receive, send)


def error(code: int, message: str) -> MaskedJson:
    """Answer with a sentence that can be shown as it is."""
    return MaskedJson({"error": message}, status_code=code)


async def http_problem(request: Request, problem: Exception) -> MaskedJson:
    """Answer whoever asks what nothing answers, or in a way that is not for it."""
    assert isinstance(problem, HTTPException)
    path = shown(request.url.path)
    text = {
        404: f"nothing answers {path}: docs/reference/control-api.md has what does",
        405: f"{path} takes no {shown(request.method)}",
    }.get(problem.status_code, problem.detail)
    return MaskedJson({"error": text}, problem.status_code, problem.headers)


async def wrong_parameter(_: Request, problem: Exception) -> MaskedJson:
    """Answer whoever sent a parameter that makes no sense (`WrongParameterError`)."""
    return error(400, f"wrong parameter: {problem}")


@attrs.define
class _Minute:
    began_at: float
    logged: int = 0
    left_out: int = 0


class RefusalLog:
    """Says which refusals are logged; one for each control socket."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._users: dict[int, _Minute] = {}
        self._others = _Minute(0.0)

    def note(self, uid: int) -> int | None:
        """Count one. Returns: how many were left out since the last that was logged, or None."""
        now = self._now()
        minute = self._of(uid, now)
        if now - minute.began_at >= MINUTE_S:
            minute.began_at, minute.logged = now, 0
        if minute.logged >= LOGGED_A_MINUTE:
            minute.left_out += 1
            return None
        minute.logged += 1
        left_out, minute.left_out = minute.left_out, 0
        return left_out

    def _of(self, uid: int, now: float) -> _Minute:
        if uid not in self._users and len(self._users) >= MAX_USERS:
            quiet = [
                other
                for other, minute in self._users.items()
                if now - minute.began_at >= MINUTE_S and not minute.left_out
            ]
            if not quiet:
                return self._others
            del self._users[quiet[0]]
        return self._users.setdefault(uid, _Minute(now))


def refused(request: Request, action: str, what: str, *, engine: str | None = None) -> MaskedJson:
    """Answer somebody who has no right to do that, and log it, if it is not the same for ever."""
    peer: Peer = request.scope["client"][0]
    left_out = request.app.state.refusals.note(peer.uid)
    if left_out is not None:
        emit(
            _log,
            RequestRefused(action=action[:SHOWN_CHARS], user=peer.describe(), not_logged=left_out),
            engine=engine[:SHOWN_CHARS] if engine is not None else None,
        )
    message = (
        f"user {peer.describe()} may not {action[:SHOWN_CHARS]} {what}: be root, "
        "or join the group vllmd (sudo usermod -aG vllmd USER, then log in again)"
    )
    return error(403, message)
