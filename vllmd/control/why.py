"""What happened to the engines, told by the daemon: `vllmd why` need not make it of events."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vllmd.control.answers import error
from vllmd.errors import VllmdError
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.eventlog.stories import tell_all
from vllmd.history.reading import EventFilter
from vllmd.util.clock import Clock, SystemClock


def route(
    events: Callable[[EventFilter], Awaitable[Sequence[Event]]], clock: Clock | None = None
) -> Route:
    """Return what tells it, of the events of the history."""
    now = (clock or SystemClock()).time

    async def why(_: Request) -> Response:
        wanted = EventFilter(
            since=now() - narrative.LOOK_BACK_S, names=narrative.NAMES, limit=narrative.MAX_EVENTS
        )
        try:
            found = await events(wanted)
        except VllmdError as problem:
            return error(503, str(problem))
        return await asyncio.to_thread(_told, found, now())

    return Route("/v1/why", why)


def _told(found: Sequence[Event], now: float) -> JSONResponse:
    """Make stories of thousands of events, in a thread; the history has no secrets."""
    return JSONResponse({"stories": [each.to_json() for each in tell_all(found, now)]})
