"""The routes of the exporter's port."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vllmd.engine.status import EngineStatus
from vllmd.http import probes
from vllmd.http.landing import POLICY, landing_page
from vllmd.http.metrics_page import MetricsPage
from vllmd.http.packing import Packer, accepts_gzip
from vllmd.http.runbooks import Rendered, contents
from vllmd.http.wake import Wakeable, waking

_OF_STATUS = {
    "cache-control": "no-cache",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

Engines = Callable[[], Sequence[EngineStatus]]
GroupPages = Callable[[str, str | None], Mapping[str, Any] | None]
Probe = Callable[[Sequence[EngineStatus]], Response]


class StatusAnswer(Protocol):
    """The document of all that is known, as it was a moment ago."""

    @property
    def shown(self) -> Mapping[str, Any]:
        """The document."""
        ...

    @property
    def body(self) -> bytes:
        """The document as JSON."""
        ...

    @property
    def etag(self) -> str:
        """Changes when anything but its time does."""
        ...


class StatusAnswers(Protocol):
    """What answers for it, however many ask."""

    def answer(self, *, series: bool = False) -> StatusAnswer:
        """Return it, with the series of the last minutes if they are wanted."""
        ...


def build(
    engines: Engines,
    page: MetricsPage,
    status: StatusAnswers,
    wakeable: Mapping[str, Wakeable] | None = None,
    groups: GroupPages = lambda *_: None,
) -> Starlette:
    """Build the application: metrics, readiness checks, the status as JSON and as a page.

    `wakeable` are the engines that may be woken, as far as their settings let them; `groups` gives
    what the other hosts of an engine's group read, None where it is of one host.
    """
    return Starlette(
        routes=[
            *_status_routes(status),
            _metrics_route(page),
            *_probe_routes(engines),
            _group_route(groups),
            Route("/wake/{engine}", waking(wakeable or {}), methods=["POST"]),
            *_runbook_routes(engines),
        ]
    )


def _status_routes(status: StatusAnswers) -> list[Route]:
    landing = LandingPage(status)

    async def status_json(request: Request) -> Response:
        found = status.answer(series="series" in request.query_params)
        headers = {**_OF_STATUS, "etag": found.etag}
        if found.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(found.body, media_type="application/json", headers=headers)

    async def index(_: Request) -> Response:
        headers = {**_OF_STATUS, "content-security-policy": POLICY}
        return HTMLResponse(landing.html(), headers=headers)

    return [Route("/", index), Route("/status.json", status_json)]


def _metrics_route(page: MetricsPage) -> Route:
    packer = Packer()

    async def metrics(request: Request) -> Response:
        headers = request.headers
        timeout = headers.get("x-prometheus-scrape-timeout-seconds", "")
        body, content_type = await page.render(headers.get("accept", ""), timeout)
        about = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if accepts_gzip(headers.get("accept-encoding", "")):
            body = await packer.packed(content_type, body)
            about["content-encoding"] = "gzip"
        return Response(body, headers=about)

    return Route("/metrics", metrics)


def _probe_routes(engines: Engines) -> list[Route]:
    async def healthy(_: Request) -> Response:
        return PlainTextResponse("vllmd is alive.\n")

    async def ready(_: Request) -> Response:
        return probes.ready([e for e in engines() if e.wanted])

    async def started(_: Request) -> Response:
        return probes.started([e for e in engines() if e.wanted])

    async def engine_ready(request: Request) -> Response:
        return _of_one(request, engines(), probes.ready)

    async def engine_started(request: Request) -> Response:
        return _of_one(request, engines(), probes.started)

    return [
        Route("/-/healthy", healthy),
        Route("/-/ready", ready),
        Route("/-/started", started),
        Route("/ready/{engine}", engine_ready),
        Route("/started/{engine}", engine_started),
    ]


def _group_route(groups: GroupPages) -> Route:
    async def group(request: Request) -> Response:
        name = request.path_params["engine"]
        page = groups(name, request.client.host if request.client else None)
        if page is None:
            text = f"no engine {name!r} of several hosts is configured\n"
            return PlainTextResponse(text, status_code=404)
        if not page:
            text = f"it is not known yet whether {name!r} runs\n"
            return PlainTextResponse(text, status_code=503, headers={"retry-after": "2"})
        return JSONResponse(page, headers={"cache-control": "no-store"})

    return Route("/groups/{engine}", group)


def _runbook_routes(engines: Engines) -> list[Route]:
    runbooks = Rendered()

    async def runbook_list(_: Request) -> Response:
        return HTMLResponse(contents())

    async def runbook_page(request: Request) -> Response:
        name = request.path_params["name"]
        page = runbooks.page(name, _meant(request.query_params.get("engine"), engines()))
        if page is None:
            return PlainTextResponse(f"no runbook {name!r}; see /runbooks/\n", status_code=404)
        return HTMLResponse(page)

    return [Route("/runbooks/", runbook_list), Route("/runbooks/{name}", runbook_page)]


def _of_one(request: Request, engines: Sequence[EngineStatus], probe: Probe) -> Response:
    """Answer a probe for the engine that the path names."""
    name = request.path_params["engine"]
    found = [e for e in engines if e.name == name]
    if not found:
        return PlainTextResponse(f"no engine {name!r} is configured\n", status_code=404)
    return probe(found)


class LandingPage:
    """The page; it is written once for all who ask while the document is the same."""

    def __init__(self, status: StatusAnswers) -> None:
        self._status = status
        self._made: tuple[StatusAnswer, bytes] | None = None

    def html(self) -> bytes:
        """Return the page as it is now."""
        found = self._status.answer()
        if self._made is None or self._made[0] is not found:
            self._made = found, landing_page(found.shown, found.body).encode(errors="replace")
        return self._made[1]


def _meant(named: str | None, engines: Sequence[EngineStatus]) -> str | None:
    """Return the engine that a runbook is asked for: one that there is, or the only one."""
    known = [engine.name for engine in engines]
    if named in known:
        return named
    return known[0] if len(known) == 1 else None
