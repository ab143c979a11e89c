"""The part of the control socket that is about costs."""

from collections.abc import Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from vllmd.control.answers import error
from vllmd.errors import VllmdError


class Costs(Protocol):
    """What can be asked of costs."""

    async def report(self, since: float, until: float, compare: Sequence[str]) -> dict[str, Any]:
        """Return what each engine cost in that time, and what the APIs named would have.

        Raises: VllmdError: an API's price is not known.
        """
        ...


def route(costs: Costs) -> Route:
    """Return the route /v1/cost."""

    async def show(request: Request) -> JSONResponse:
        given = request.query_params
        try:
            since, until = float(given["since"]), float(given["until"])
            compare = [name for name in given.get("compare", "").split(",") if name]
            return JSONResponse(await costs.report(since, until, compare))
        except (KeyError, ValueError) as problem:
            return error(400, f"wrong parameter: {problem}")
        except VllmdError as problem:
            return error(400, str(problem))

    return Route("/v1/cost", show)
