"""The part of the control socket that is about advice."""

from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

from vllmd.control.answers import MaskedJson
from vllmd.control.parameters import WrongParameterError, moment, positive
from vllmd.control.peer import Peer


class Advisor(Protocol):
    """What can be asked for advice."""

    async def report(self, since: float, until: float, first_token_s: float) -> dict[str, Any]:
        """Return what each engine has shown in that time, and which changes follow."""
        ...


def _without_lines(report: dict[str, Any]) -> dict[str, Any]:
    """Leave out lines of the file, which not everybody may read: masks know its values only."""
    engines = [
        {**each, "advice": [{**advice, "diff": None} for advice in each["advice"]]}
        for each in report.get("engines", [])
    ]
    return {**report, "engines": engines}


def route(advisor: Advisor) -> Route:
    """Return the route /v1/advise."""

    async def show(request: Request) -> MaskedJson:
        given = request.query_params
        since, until = moment(given, "since"), moment(given, "until")
        first_token_s = positive(given, "first_token_s")
        if since is None or until is None or first_token_s is None:
            raise WrongParameterError("since, until and first_token_s are needed")
        report = await advisor.report(since, until, first_token_s)
        peer: Peer = request.scope["client"][0]
        return MaskedJson(report if peer.may_act() else _without_lines(report))

    return Route("/v1/advise", show)
