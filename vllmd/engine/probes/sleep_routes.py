"""vLLM's routes by which an engine sleeps and is woken.

Source: vllm/entrypoints/serve/dev/sleep/api_router.py, and for the weights `collective_rpc` of
dev/rpc/api_router.py and `Worker.reload_weights`, of 0.32. All versions from 0.20 on have them,
with `VLLM_SERVER_DEV_MODE=1`; without, they answer 404.
"""

import asyncio
from typing import Any

import attrs
import httpx

from vllmd.config.sleep import DISCARD
from vllmd.shim.files import parse_json

LOOK_S = 5.0
SHOWN = 300
MISSING = (
    "it has no route /is_sleeping: it was started before the table sleep was there ('vllmd "
    "restart'), or its vLLM is older than 0.20"
)


class SleepRouteError(Exception):
    """The engine did not do it; the message says what it answered."""


class RoutesMissingError(SleepRouteError):
    """It has no such routes."""


class NotHeardError(SleepRouteError):
    """The connection failed: whether it was asked, and does it, is not known."""


@attrs.frozen
class SleepRoutes:
    """Those of one engine. There are no limits of time here: a large model takes minutes."""

    url: str
    client: httpx.AsyncClient

    async def is_asleep(self) -> bool | None:
        """Ask whether it sleeps, or is paused.

        Returns: None if that is not known: it does not answer in time, or is just changing.
        Raises: RoutesMissingError.
        """
        try:
            async with asyncio.timeout(LOOK_S):
                response = await self.client.get(f"{self.url}/is_sleeping", timeout=LOOK_S)
        except (httpx.HTTPError, TimeoutError):
            return None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise RoutesMissingError(MISSING)
        try:
            asleep = parse_json(response.content)["is_sleeping"]
        except (ValueError, LookupError, TypeError):
            return None
        return asleep if isinstance(asleep, bool) else None

    async def sleep(self, level: int) -> None:
        """Put it to sleep; requests that came since the last look finish first (`mode=wait`).

        Raises: SleepRouteError.
        """
        await self._post("/sleep", params={"level": level, "mode": "wait"})

    async def wake(self, level: int) -> None:
        """Wake it from a level, all of it.

        At level 2 the weights are read again before anything is computed: it goes on when the KV
        cache is back, which comes last (`EngineCore.wake_up`). What was done of it may be asked
        for again (`Executor.wake_up`).

        Raises: SleepRouteError.
        """
        if level != DISCARD:
            await self._post("/wake_up")
            return
        await self._post("/wake_up", params={"tags": "weights"})
        await self._post("/collective_rpc", json={"method": "reload_weights"})
        await self._post("/wake_up", params={"tags": "kv_cache"})

    async def reload_weights(self) -> None:
        """Read the weights again. Raises: SleepRouteError."""
        await self._post("/collective_rpc", json={"method": "reload_weights"})

    async def _post(self, path: str, **asked: Any) -> None:
        try:
            response = await self.client.post(f"{self.url}{path}", timeout=None, **asked)
        except httpx.HTTPError as error:
            raise NotHeardError(f"POST {path}: {error!r}") from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise RoutesMissingError(MISSING)
        if not response.is_success:
            raise SleepRouteError(
                f"POST {path}: HTTP {response.status_code}: {response.text[:SHOWN]}"
            )
