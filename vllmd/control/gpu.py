"""The part of the control socket that is about GPUs."""

from typing import Any, Protocol

import structlog
from starlette.requests import Request
from starlette.routing import Route

from vllmd.control.answers import MaskedJson, refused
from vllmd.control.parameters import between
from vllmd.control.peer import Peer
from vllmd.events.base import emit
from vllmd.events.requests import RequestAccepted
from vllmd.util.units import HOUR_S

MAX_RELEASE_S = HOUR_S

_log = structlog.get_logger()


class GpuAnswers(Protocol):
    """What is known of GPUs."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        ...


class GpuControl(Protocol):
    """What can be asked of the GPUs' reader."""

    def figures(self) -> GpuAnswers:
        """Return what is known now."""
        ...

    async def fresh(self) -> bool:
        """Ask for a listing of processes and wait for it."""
        ...

    async def reap(self) -> list[str]:
        """Kill the orphans that hold memory; returns who they were."""
        ...

    def release(self, seconds: float) -> None:
        """Release the GPUs for this long; 0 takes them again."""
        ...


def routes(gpus: GpuControl) -> list[Route]:
    """Return the routes below /v1/gpu."""

    async def show(_: Request) -> MaskedJson:
        await gpus.fresh()
        return MaskedJson(gpus.figures().to_json())

    async def reap(request: Request) -> MaskedJson:
        peer: Peer = request.scope["client"][0]
        if not peer.may_act():
            return refused(request, "reap", "processes that hold GPU memory")
        emit(_log, RequestAccepted(action="reap", user=peer.describe()))
        return MaskedJson({"killed": await gpus.reap()})

    async def release(request: Request) -> MaskedJson:
        peer: Peer = request.scope["client"][0]
        if not peer.may_act():
            return refused(request, "release", "the GPUs")
        seconds = between(request.query_params, "seconds", 0, MAX_RELEASE_S)
        emit(_log, RequestAccepted(action="release", user=peer.describe()))
        gpus.release(seconds)
        return MaskedJson({"seconds": seconds})

    return [
        Route("/v1/gpu", show),
        Route("/v1/gpu/reap", reap, methods=["POST"]),
        Route("/v1/gpu/release", release, methods=["POST"]),
    ]
