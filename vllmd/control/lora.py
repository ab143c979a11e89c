"""The part of the control socket that is about LoRA adapters."""

from typing import Any, Protocol

import structlog
from starlette.requests import Request
from starlette.routing import Route

from vllmd.control.answers import MaskedJson, error, refused
from vllmd.control.parameters import shown
from vllmd.control.peer import Peer
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.events.base import emit
from vllmd.events.requests import RequestAccepted

ACTIONS = ("add", "remove", "reload")

_log = structlog.get_logger()


class EngineAdapterControl(Protocol):
    """What can be done to the adapters of one engine."""

    async def add(self, name: str, path: str) -> None:
        """Want an adapter. Raises: VllmdError: it cannot be loaded; OSError: not written down."""
        ...

    async def remove(self, name: str) -> None:
        """Want it no more. Raises: VllmdError: it was not added; OSError: not written down."""
        ...

    def reload(self, name: str) -> None:
        """Have its files read again. Raises: VllmdError: there is none."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return how each adapter stands."""
        ...


class AdapterControl(Protocol):
    """What can be asked of all adapters."""

    def to_json(self) -> list[dict[str, Any]]:
        """Return how each adapter of each engine stands."""
        ...

    def reconciler(self, name: str) -> EngineAdapterControl:
        """Return an engine's reconciler. Raises: UnknownEngineError; VllmdError: no adapters."""
        ...


def routes(adapters: AdapterControl) -> list[Route]:
    """Return the routes below /v1/lora."""

    async def show(_: Request) -> MaskedJson:
        return MaskedJson({"engines": adapters.to_json()})

    async def act(request: Request) -> MaskedJson:
        engine, action = request.path_params["engine"], request.path_params["action"]
        peer: Peer = request.scope["client"][0]
        if not peer.may_act():
            return refused(request, action, "an adapter", engine=engine)
        if action not in ACTIONS:
            return error(404, f"unknown action {shown(action)}; known: {', '.join(ACTIONS)}")
        try:
            name, path = await _named(request)
            reconciler = adapters.reconciler(engine)
            await _do(reconciler, action, name, path)
        except VllmdError as problem:
            return error(404 if isinstance(problem, UnknownEngineError) else 400, str(problem))
        except OSError as problem:
            return error(503, f"nothing changed, it could not be written down: {problem}")
        emit(
            _log,
            RequestAccepted(action=f"lora {action}", adapter=name, user=peer.describe()),
            engine=engine,
        )
        return MaskedJson(reconciler.to_json())

    return [
        Route("/v1/lora", show),
        Route("/v1/lora/{engine}/{action:str}", act, methods=["POST"]),
    ]


async def _named(request: Request) -> tuple[str, str]:
    """Return the name and the path that a request gives.

    Raises: VllmdError: it gives none.
    """
    try:
        body = await request.json()
        name, path = body["name"], body.get("path", "")
        if not (isinstance(name, str) and isinstance(path, str)):
            raise TypeError("a name and a path are text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise VllmdError('the body must be JSON, such as {"name": "sql", "path": "/a"}') from None
    return name, path


async def _do(reconciler: EngineAdapterControl, action: str, name: str, path: str) -> None:
    if action == "add":
        await reconciler.add(name, path)
    elif action == "remove":
        await reconciler.remove(name)
    else:
        reconciler.reload(name)
