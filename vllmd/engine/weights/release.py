"""The proof that GPU memory of weights came back after their end."""

from collections.abc import Awaitable, Callable

from vllmd.engine.stopping.cleanup import LIMIT_S, POLL_S
from vllmd.util.clock import Clock


async def wait_until_free(
    holders: Callable[[], Awaitable[list[str] | None]], clock: Clock
) -> tuple[float, tuple[str, ...]]:
    """Wait until no process of the weights holds memory, but not for ever.

    Returns: seconds that it took, and who holds some still; nobody where no GPU is read.
    """
    began = clock.monotonic()
    while True:
        left = await holders() or []
        took_s = clock.monotonic() - began
        if not left or took_s >= LIMIT_S:
            return took_s, tuple(left)
        await clock.sleep(POLL_S)
