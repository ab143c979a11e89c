"""The daemon's end of the control socket: JSON over HTTP, rights by peer credentials."""

import asyncio
import functools
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vllmd.control import advise, cost, gpu, lora, probe, why
from vllmd.control.answers import (
    Mask,
    MaskedJson,
    RefusalLog,
    error,
    http_problem,
    refused,
    wrong_parameter,
)
from vllmd.control.gpu import GpuControl
from vllmd.control.parameters import (
    WrongParameterError,
    chosen,
    flag,
    shown,
    wanted_events,
)
from vllmd.control.peer import Peer, peer_of
from vllmd.control.user_limits import UserLimits
from vllmd.engine.status import EngineStatus
from vllmd.errors import HeldError, UnknownEngineError, VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.base import emit
from vllmd.events.requests import RequestAccepted
from vllmd.history.reading import EventFilter
from vllmd.http.protocol import HttpProtocol

SAVE_S = 5.0
"""How long an answer waits until the disk has what was said."""

Handler = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger()


class SleepControl(Protocol):
    """What can be done to the sleep of an engine."""

    def ask_sleep(self, by: str, level: int | None = None) -> None:
        """Want it to give its GPU memory back. Raises: HeldError: it cannot."""
        ...

    def ask_wake(self, by: str, *, runs: bool = True) -> None:
        """Want it to take that again; `runs` if it is meant to run. Raises: HeldError."""
        ...


class EngineControl(Protocol):
    """What can be done to an engine."""

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        ...

    def start(self) -> None:
        """Want it to run."""
        ...

    def stop(self, *, keep_weights: bool = False) -> None:
        """Want it to end; weights in GPU memory stay only if they are to be kept."""
        ...

    def restart(self) -> None:
        """Want it to end and to run again."""
        ...

    @property
    def sleeper(self) -> SleepControl:
        """Its sleep."""
        ...

    async def saved(self) -> None:
        """Write down what is wanted, for the next daemon. Raises: OSError."""
        ...


class DaemonControl(Protocol):
    """What can be asked of the daemon itself."""

    def about(self) -> dict[str, Any]:
        """Return what `status` tells of it."""
        ...

    async def events(self, wanted: EventFilter) -> list[Event]:
        """Return events of its history.

        Raises: VllmdError: it cannot be read.
        """
        ...

    async def reload(self, *, apply: bool) -> dict[str, Any]:
        """Read the configuration again; `apply` restarts the engines that need it.

        Returns: what that changes. Raises: VllmdError: it cannot be used, and nothing changed.
        """
        ...


class LogControl(Protocol):
    """What can be asked of the engines' output."""

    async def rotate(self, name: str) -> None:
        """Begin a new file of an engine's log.

        Raises: UnknownEngineError, ShimError, OSError.
        """
        ...


class PeerProtocol(HttpProtocol):
    """HTTP over a Unix socket, with the peer's credentials as `scope["client"][0]`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who connected."""
        super().connection_made(transport)
        connection: socket.socket = transport.get_extra_info("socket")
        peer = peer_of(connection)
        self.client = (peer, peer.pid)  # type: ignore[assignment]


def listen(path: Path) -> socket.socket:
    """Bind the control socket, in place of one that a dead daemon left.

    Everybody may connect: the peer's credentials decide, so that a refusal can say why.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    os.chmod(path, 0o666)
    listener.listen()
    return listener


class TraceControl(Protocol):
    """What can be asked of the requests' spans."""

    def windows(self) -> dict[str, Any]:
        """Return the slowest requests of now and of the last window."""
        ...


class StatusControl(Protocol):
    """What is known of everything."""

    def local_answer(self, *, series: bool = False) -> bytes:
        """Return all that is known, as JSON without secrets; with the series of the last minutes
        if they are wanted."""
        ...

    def forget(self) -> None:
        """Keep no answer: something was changed."""
        ...


@attrs.frozen
class Controls:
    """All that can be asked, besides the engines."""

    host: DaemonControl
    logs: LogControl
    gpus: GpuControl
    traces: TraceControl
    adapters: lora.AdapterControl
    costs: cost.Costs
    advisor: advise.Advisor
    probes: probe.ProbeControl
    status: StatusControl


def build(
    engines: Mapping[str, EngineControl], parts: Controls, mask: Mask = lambda value: value
) -> ASGIApp:
    """Build the application; `mask` takes the secrets out of every answer."""
    problems = {HTTPException: http_problem, WrongParameterError: wrong_parameter}
    app = Starlette(routes=routes(engines, parts), exception_handlers=problems)
    app.router.redirect_slashes = False
    app.state.refusals = RefusalLog()
    app.state.mask = mask
    return UserLimits(_telling_changes(app, parts.status.forget))


def routes(engines: Mapping[str, EngineControl], parts: Controls) -> list[Route]:
    """Return all that is answered; `tools/reference/control_api` describes it."""
    return [
        *_reading_routes(parts),
        cost.route(parts.costs),
        advise.route(parts.advisor),
        why.route(parts.host.events),
        probe.route(parts.probes),
        Route("/v1/reload", _reloading(parts.host), methods=["POST"]),
        Route("/v1/logs/{engine}/rotate", _rotating(parts.logs), methods=["POST"]),
        *gpu.routes(parts.gpus),
        *lora.routes(parts.adapters),
        Route(
            "/v1/engines/{engine}/{action:str}",
            _known_action(_acting(engines)),
            methods=["POST"],
        ),
    ]


def _reading_routes(parts: Controls) -> list[Route]:
    host, traces = parts.host, parts.traces

    async def status(request: Request) -> Response:
        body = parts.status.local_answer(series=flag(request.query_params, "series"))
        return Response(body, media_type="application/json")

    async def slowest(_: Request) -> MaskedJson:
        return MaskedJson(traces.windows())

    async def history(request: Request) -> Response:
        try:
            found = await host.events(wanted_events(request.query_params))
        except VllmdError as problem:
            return error(503, str(problem))
        return await asyncio.to_thread(_listed, found)

    return [
        Route("/v1/status", status),
        Route("/v1/events", history),
        Route("/v1/traces", slowest),
    ]


def _reloading(host: DaemonControl) -> Handler:
    async def reload(request: Request) -> MaskedJson:
        peer: Peer = request.scope["client"][0]
        if not peer.may_act():
            return refused(request, "reload", "the configuration")
        try:
            changes = await host.reload(apply=flag(request.query_params, "apply"))
        except VllmdError as problem:
            return error(422, str(problem))
        emit(_log, RequestAccepted(action="reload", user=peer.describe()))
        return MaskedJson(changes)

    return reload


def _rotating(logs: LogControl) -> Handler:
    async def rotate(request: Request) -> MaskedJson:
        name, peer = request.path_params["engine"], request.scope["client"][0]
        if not peer.may_act():
            return refused(request, "rotate", "the log of an engine", engine=name)
        try:
            await logs.rotate(name)
        except UnknownEngineError as problem:
            return error(404, str(problem))
        except (VllmdError, OSError) as problem:
            return error(503, f"the log of {name} was not rotated: {problem}")
        emit(_log, RequestAccepted(action="rotate", user=peer.describe()), engine=name)
        return MaskedJson({"engine": name})

    return rotate


def _acting(engines: Mapping[str, EngineControl]) -> Handler:
    async def act(request: Request) -> MaskedJson:
        name, action = request.path_params["engine"], request.path_params["action"]
        peer: Peer = request.scope["client"][0]
        if not peer.may_act():
            return refused(request, action, "an engine", engine=name)
        engine = engines.get(name)
        if engine is None:
            return error(404, str(UnknownEngineError.among(name, engines)))
        try:
            _do(engine, action, request.query_params, peer.describe())
            warning = None
            async with asyncio.timeout(SAVE_S):
                await engine.saved()
        except HeldError as problem:
            return error(409, str(problem))
        except OSError as problem:
            reason = str(problem) or "the disk does not answer"
            warning = f"done, but it will not outlast this daemon: {reason}"
        emit(_log, RequestAccepted(action=action, user=peer.describe()), engine=name)
        return MaskedJson({"engine": engine.status.to_json(), "warning": warning})

    return act


def _do(engine: EngineControl, action: str, asked: Mapping[str, str], by: str) -> None:
    """Want what is asked of an engine.

    Raises: HeldError: it cannot be; WrongParameterError: a parameter makes no sense.
    """
    level, weights = chosen(asked, "level", ("1", "2")), chosen(asked, "weights", ("keep",))
    actions: Mapping[str, Callable[[], None]] = {
        "start": engine.start,
        "stop": functools.partial(engine.stop, keep_weights=weights == "keep"),
        "restart": engine.restart,
        "sleep": functools.partial(engine.sleeper.ask_sleep, by, int(level) if level else None),
        "wake": functools.partial(engine.sleeper.ask_wake, by, runs=engine.status.wanted),
    }
    actions[action]()


ACTIONS = ("start", "stop", "restart", "sleep", "wake")


def _telling_changes(app: ASGIApp, changed: Callable[[], None]) -> ASGIApp:
    """Call `changed` before whoever asked for a change is told that it was made."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            changed()
            await send(message)

        await app(scope, receive, send if scope["method"] in ("GET", "HEAD") else told)

    return answer


def _listed(found: Sequence[Event]) -> JSONResponse:
    """Write thousands of events, in a thread; the journal masked them."""
    return JSONResponse({"events": [event.to_json() for event in found]})


def _known_action(act: Handler) -> Handler:
    async def checked(request: Request) -> Response:
        action = request.path_params["action"]
        if action not in ACTIONS:
            return error(404, f"unknown action {shown(action)}; known: {', '.join(ACTIONS)}")
        return await act(request)

    return checked
