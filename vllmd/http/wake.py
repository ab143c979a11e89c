"""`POST /wake/NAME` at the exporter's port: the only request there that changes anything.

It is refused unless the web configuration has made sure who asks, and `sleep.http_wake` allows it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from vllmd.engine.status import EngineStatus
from vllmd.errors import HeldError
from vllmd.events.base import emit
from vllmd.events.requests import RequestAccepted
from vllmd.http.access import USER

NOBODY = (
    "only a user or a client certificate of daemon.web_config_file may wake an engine, and it asks "
    "for neither"
)
FROM_A_PAGE = "a page of another site may not wake an engine"

_log = structlog.get_logger()


class WakeControl(Protocol):
    """What can be done to the sleep of an engine from here."""

    @property
    def http_wake(self) -> bool:
        """Whether its settings allow it."""
        ...

    def ask_wake(self, by: str, *, runs: bool = True) -> None:
        """Want it awake; `runs` if it is meant to run. Raises: HeldError: it cannot be."""
        ...


class Wakeable(Protocol):
    """One engine."""

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        ...

    @property
    def sleeper(self) -> WakeControl:
        """Its sleep."""
        ...


def waking(engines: Mapping[str, Wakeable]) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers: 202 once the engine is to be awake, 403 to who may not say that."""

    async def wake(request: Request) -> Response:
        user = request.scope.get(USER)
        if user is None:
            return _said(403, NOBODY)
        if _from_another_site(request.headers):
            return _said(403, FROM_A_PAGE)
        name = request.path_params["engine"]
        engine = engines.get(name)
        if engine is None:
            return _said(404, f"no engine {name!r} is configured")
        if not engine.sleeper.http_wake:
            return _said(403, f"set sleep.http_wake = true for {name} to wake it here")
        try:
            engine.sleeper.ask_wake(f"{user}, by HTTP", runs=engine.status.wanted)
        except HeldError as problem:
            return _said(409, str(problem))
        emit(_log, RequestAccepted(action="wake", user=f"{user}, by HTTP"), engine=name)
        status = engine.status
        return JSONResponse({"engine": name, "state": str(status.state)}, status_code=202)

    return wake


def _said(code: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=code)


def _from_another_site(headers: Headers) -> bool:
    """Tell whether a browser sends it for a page that is not ours: it adds a password by itself."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
