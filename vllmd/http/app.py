"""The routes of the exporter's port."""

import math
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from vllmd.engine.status import EngineStatus
from vllmd.http.landing import landing_page
from vllmd.http.metrics_page import MetricsPage
from vllmd.http.runbooks import Rendered, contents

COME_AGAIN_S = 2
"""After so many seconds at least, if it is not known how long a start still takes."""

Engines = Callable[[], Sequence[EngineStatus]]


def build(engines: Engines, page: MetricsPage) -> Starlette:
    """Build the application that serves the metrics page and the readiness checks."""
    runbooks = Rendered()

    async def metrics(request: Request) -> Response:
        headers = request.headers
        timeout = headers.get("x-prometheus-scrape-timeout-seconds", "")
        body, content_type = await page.render(headers.get("accept", ""), timeout)
        return Response(body, headers={"content-type": content_type})

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("vllmd is alive.\n")

    async def ready(_: Request) -> Response:
        return _readiness([e for e in engines() if e.wanted])

    async def engine_ready(request: Request) -> Response:
        name = request.path_params["engine"]
        found = [e for e in engines() if e.name == name]
        if not found:
            return PlainTextResponse(f"no engine {name!r} is configured\n", status_code=404)
        return _readiness(found)

    async def landing(_: Request) -> Response:
        return HTMLResponse(landing_page(engines()))

    async def runbook_list(_: Request) -> Response:
        return HTMLResponse(contents())

    async def runbook_page(request: Request) -> Response:
        name = request.path_params["name"]
        page = runbooks.page(name)
        if page is None:
            return PlainTextResponse(f"no runbook {name!r}; see /runbooks/\n", status_code=404)
        return HTMLResponse(page)

    return Starlette(
        routes=[
            Route("/", landing),
            Route("/metrics", metrics),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/ready/{engine}", engine_ready),
            Route("/runbooks/", runbook_list),
            Route("/runbooks/{name}", runbook_page),
        ]
    )


def _readiness(engines: Sequence[EngineStatus]) -> Response:
    """Answer 200 if all of the engines serve, else 503, why, and when to come again."""
    states = {e.name: str(e.state) if e.looked_for else "not known yet" for e in engines}
    lines = "".join(f"{name}: {state}\n" for name, state in states.items())
    ready = all(engine.up for engine in engines)
    text = lines or "no engine is meant to run\n"
    if ready:
        return PlainTextResponse(text)
    left_s = max((e.start_left_s or 0.0 for e in engines if not e.up), default=0.0)
    headers = {"retry-after": str(max(COME_AGAIN_S, math.ceil(left_s)))}
    return PlainTextResponse(text, status_code=503, headers=headers)
