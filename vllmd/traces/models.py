"""Which models an engine serves, so that only real adapters become labels."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from vllmd.util.clock import Clock

FRESH_S = 60.0
"""Names are asked for again after so long, when a span names one."""
AGAIN_S = 5.0
"""A name that is not known is asked for at most so often, whatever clients send."""

Ask = Callable[[str], Awaitable[frozenset[str] | None]]
"""Returns what an engine's /v1/models lists, in time; None if it does not say."""


class Models:
    """The models of all engines, as they were listed last."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[str, frozenset[str]] = {}
        self._asked_at: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def names(self, engine: str, wanted: Iterable[str]) -> frozenset[str]:
        """Return the names, listed anew if one of those `wanted` is not among them."""
        known = self._known.get(engine, frozenset())
        missing = any(name not in known for name in wanted)
        age_s = self._clock.monotonic() - self._asked_at.get(engine, -FRESH_S)
        if wanted and age_s >= (AGAIN_S if missing else FRESH_S):
            await self._refresh(engine)
        return self._known.get(engine, frozenset())

    async def _refresh(self, engine: str) -> None:
        task = self._asking.get(engine)
        if task is None:
            task = self._asking[engine] = asyncio.create_task(self._list(engine))
            task.add_done_callback(lambda _: self._asking.pop(engine, None))
        await asyncio.shield(task)

    async def _list(self, engine: str) -> None:
        self._asked_at[engine] = self._clock.monotonic()
        names = await self._ask(engine)
        if names is not None:
            self._known[engine] = names
