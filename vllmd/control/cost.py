"""The part of the control socket that is about costs."""

from collections.abc import Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

from vllmd.control.answers import MaskedJson, error
from vllmd.control.parameters import WrongParameterError, listed, moment
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

    async def show(request: Request) -> MaskedJson:
        given = request.query_params
        try:
            since, until = moment(given, "since"), moment(given, "until")
            if since is None or until is None:
                raise WrongParameterError("since and until are needed")
            return MaskedJson(await costs.report(since, until, listed(given, "compare")))
        except VllmdError as problem:
            return error(400, str(problem))

    return Route("/v1/cost", show)
