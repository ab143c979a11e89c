"""The part of the control socket that is about the answers of engines."""

from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

from vllmd.control.answers import MaskedJson, error, refused
from vllmd.control.parameters import flag
from vllmd.control.peer import Peer
from vllmd.errors import HeldError, UnknownEngineError, VllmdError


class ProbeControl(Protocol):
    """What can be asked of the answers of engines."""

    async def ask(self, name: str, record_by: str | None = None) -> dict[str, Any]:
        """Look at an engine's answers now; with a name, take them for right in that name.

        Returns: what is known then.
        Raises: UnknownEngineError, HeldError; VllmdError: it is not to be asked.
        """
        ...


def route(probes: ProbeControl) -> Route:
    """Return the route /v1/probe/ENGINE."""

    async def ask(request: Request) -> MaskedJson:
        name, peer = request.path_params["engine"], request.scope["client"][0]
        assert isinstance(peer, Peer)
        if not peer.may_act():
            return refused(request, "probe", "the answers of an engine", engine=name)
        try:
            by = peer.describe() if flag(request.query_params, "record") else None
            return MaskedJson(await probes.ask(name, by))
        except UnknownEngineError as problem:
            return error(404, str(problem))
        except HeldError as problem:
            return error(409, str(problem))
        except VllmdError as problem:
            return error(422, str(problem))

    return Route("/v1/probe/{engine}", ask, methods=["POST"])
