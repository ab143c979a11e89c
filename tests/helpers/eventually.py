"""Wait in an event loop for what comes by itself."""

import asyncio
from collections.abc import Callable


async def eventually(what: Callable[[], object], turns: int = 2000) -> None:
    """Give others turns until it is true."""
    for _ in range(turns):
        if what():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never came")
