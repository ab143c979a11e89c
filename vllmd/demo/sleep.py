"""The stand-in's sleep: what vLLM's development routes answer, and what they do to requests.

Source: vllm/entrypoints/serve/dev/sleep/api_router.py, `EngineCore.sleep` and `wake_up` in
vllm/v1/engine/core.py, `Executor.sleep` and `wake_up` in vllm/v1/executor/abstract.py, of 0.32.
"""

import asyncio
import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vllmd.demo.engine import DemoEngine
from vllmd.demo.metrics import Metrics
from vllmd.demo.output import say

DEV_MODE = "VLLM_SERVER_DEV_MODE"
SLEEP_S = "VLLMD_STAND_IN_SLEEP_S"
"""Seconds that it takes to fall asleep, and to wake; 0 by default."""
FAILS = "VLLMD_STAND_IN_FAILS"
"""A path, such as /wake_up, that answers 500."""
TAGS = frozenset({"weights", "kv_cache"})
MODES = ("abort", "wait", "keep")


class DevRoutes:
    """Whether the engine sleeps, and the routes that change it."""

    def __init__(self, engine: DemoEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._asleep: set[str] = set()
        self._core = asyncio.Lock()
        """What changes it is done by the core, one after another."""

    def routes(self) -> list[Route]:
        """Return them; without the variable there are none."""
        if not int(os.environ.get(DEV_MODE, "0")):
            return []
        say("APIServer", "SECURITY WARNING: Development endpoints are enabled!", level="WARNING")
        return [
            Route("/sleep", self.sleep, methods=["POST"]),
            Route("/wake_up", self.wake_up, methods=["POST"]),
            Route("/is_sleeping", self.is_sleeping),
            Route("/collective_rpc", self.collective_rpc, methods=["POST"]),
        ]

    async def sleep(self, request: Request) -> Response:
        """Pause; from level 1 on, give the memory back."""
        asked = request.query_params
        level, mode = asked.get("level", "1"), asked.get("mode", "abort")
        if level not in ("0", "1", "2"):
            return _invalid("level", "Input should be less than or equal to 2", level)
        if mode not in MODES:
            return _invalid("mode", "Input should be 'abort', 'wait' or 'keep'", mode)
        self._engine.computes.clear()
        if mode == "abort":
            self._engine.abort_all()
        async with self._core:
            await self._engine.wait_idle()
            if failed := await self._takes("/sleep"):
                return failed
            if level != "0" and "weights" not in self._asleep:
                self._asleep |= TAGS
                self._engine.rest(asleep=True)
        self._metrics.sleeps(int(level))
        return JSONResponse({"status": "sleeping", "level": int(level)})

    async def wake_up(self, request: Request) -> Response:
        """Take memory again, all or that of some tags; it computes once it has all of it."""
        tags = request.query_params.getlist("tags") or None
        async with self._core:
            if failed := await self._takes("/wake_up"):
                return failed
            if tags is None:
                self._asleep.clear()
            elif set(tags) <= self._asleep:
                self._asleep -= set(tags)
            self._engine.rest(asleep=bool(self._asleep))
            if not self._asleep:
                self._engine.computes.set()
                self._metrics.sleeps(None)
        status = "sleeping" if self._asleep else "awake"
        return JSONResponse({"status": status, "tags": tags})

    async def is_sleeping(self, _: Request) -> Response:
        """Tell whether it sleeps or is paused; asked while it changes, it says how that ended."""
        async with self._core:
            asleep = bool(self._asleep) or not self._engine.computes.is_set()
        return JSONResponse({"is_sleeping": asleep})

    async def collective_rpc(self, request: Request) -> Response:
        """Read the weights again; it knows no other method."""
        method = (await request.json()).get("method")
        if method is None:
            return JSONResponse({"error": "Missing 'method' in request body"}, 400)
        async with self._core:
            if failed := await self._takes("/collective_rpc"):
                return failed
            if method != "reload_weights":
                return JSONResponse({"error": f"no method {method}"}, 500)
        say("EngineCore", "Reloading weights inplace")
        return JSONResponse({"results": [None]})

    async def _takes(self, path: str) -> Response | None:
        await asyncio.sleep(float(os.environ.get(SLEEP_S, "0")))
        if os.environ.get(FAILS) != path:
            return None
        return JSONResponse({"error": {"message": "CUDA Error: out of memory", "code": 500}}, 500)


def _invalid(name: str, message: str, value: str) -> Response:
    said = f"1 validation error: {message}, not {value!r} (query, {name})"
    body = {"message": said, "type": "BadRequestError", "param": name, "code": 400}
    return JSONResponse({"error": body}, 400)
