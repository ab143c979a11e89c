"""Time as the rest of the code sees it, so that a test can hold the hands of the clock."""

import asyncio
import time
from typing import Protocol

import attrs

STEP_S = 1.0
"""By more than this the two clocks part only when somebody sets one."""
TICK_S = 1.0


class Clock(Protocol):
    """Where time comes from."""

    def monotonic(self) -> float:
        """Return seconds that never jump, for lengths of time."""
        ...

    def time(self) -> float:
        """Return seconds since the epoch, for what people and Prometheus read."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The real clock."""

    def monotonic(self) -> float:
        """Return the system's monotonic time in seconds."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        await asyncio.sleep(seconds)


@attrs.frozen
class Moment:
    """One moment by both clocks: lengths of time are measured by one, people read the other.

    The monotonic clock is the same for all processes from one boot to the next.
    """

    monotonic: float
    wall: float

    @classmethod
    def now(cls, clock: Clock) -> "Moment":
        """Return the present one."""
        return cls(clock.monotonic(), clock.time())

    def age_s(self, clock: Clock) -> float:
        """Return how long ago it was, in seconds."""
        return max(0.0, clock.monotonic() - self.monotonic)

    def shown(self, clock: Clock) -> float:
        """Return it in seconds since the epoch, as the clock counts them now.

        Where the clock was set since then, it moves too: what is shown "for" so long stays right.
        """
        now = clock.time() + self.monotonic - clock.monotonic()
        return self.wall if abs(now - self.wall) < STEP_S else float(round(now))

    def after(self, seconds: float) -> "Moment":
        """Return the moment so much later."""
        return Moment(self.monotonic + seconds, self.wall + seconds)


def until_tick(clock: Clock, seconds: float) -> float:
    """Return about `seconds`, to sleep: up to the whole second nearest to then.

    Parts that look at something now and then wake together so, and the process once, not each for
    itself. What is shorter than a second is left as it is.
    """
    if seconds < TICK_S:
        return seconds
    now = clock.monotonic()
    return round((now + seconds) / TICK_S) * TICK_S - now


async def wait_event(event: asyncio.Event, timeout_s: float, clock: Clock) -> bool:
    """Wait for `event`, but not for ever.

    Returns: whether the event is set.
    """
    waiting = asyncio.ensure_future(event.wait())
    sleeping = asyncio.ensure_future(clock.sleep(timeout_s))
    try:
        await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        sleeping.cancel()
    return event.is_set()
