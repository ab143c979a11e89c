"""The parts of something, run as the daemon runs them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from vllmd.util.clock import Clock
from vllmd.util.parts import Part, PartRunner


@asynccontextmanager
async def running(parts: Iterable[Part], clock: Clock) -> AsyncIterator[PartRunner]:
    """Keep parts running until the end of the block."""
    runner = PartRunner(clock)
    tasks = [asyncio.create_task(runner.keep(part)) for part in parts]
    try:
        yield runner
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
