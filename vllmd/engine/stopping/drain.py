"""The end of a serving engine: red first, then drained, then ended.

A load balancer learns from `/ready` that no request is to come; what is in flight may finish. vLLM
drains by itself after SIGTERM to its main process (`--shutdown-timeout`); new requests get a 500
then, and its `/health` stays green (seen, 0.32).
"""

from collections.abc import Awaitable, Callable

import attrs

from vllmd.config.model import EngineConfig
from vllmd.config.stop_time import SHIM_MARGIN_S
from vllmd.engine.engine_state import EngineState
from vllmd.engine.liveness.reading import PageAnswer, Reading
from vllmd.engine.process import orphans
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.state_machine import State, Trigger
from vllmd.errors import ShimError
from vllmd.events.base import emit
from vllmd.events.engine import EngineDrained
from vllmd.util.clock import Clock
from vllmd.util.loop_lag import LoopLag

POLL_S = 1.0
STANDING = frozenset({State.DRAINING, State.STALLED})
"""States in which no request is left that could finish."""
ENDING_S = 5.0
"""A shim that is just ending does not answer any more, and then says how it ended."""
MARGIN_S = SHIM_MARGIN_S
"""How much longer than its time a stop may take before the shim itself is taken for dead."""


@attrs.frozen
class Drain:
    """How one engine is ended."""

    engine: EngineConfig
    engine_state: EngineState
    clock: Clock
    read: Callable[[], Awaitable[Reading]]
    has_api: bool = True
    """Whether it takes requests: a member of a group has none of its own in flight."""
    lag: LoopLag = attrs.field(default=attrs.Factory(lambda self: LoopLag(self.clock), True))

    async def end(self, client: ShimClient) -> bool:
        """End the engine of a shim; requests in flight may finish if it serves.

        Returns: whether nothing of it is left; if not, its shim does not do what it is told.
        """
        try:
            if self.engine_state.state is State.READY:
                self.engine_state.to(Trigger.DRAIN)
                if self.has_api:
                    await self._drain(client)
            if client.exited.done():
                return True
            grace_s = await self._grace_s()
            if self.engine_state.state is not State.STOPPING:  # an earlier daemon may have begun
                self.engine_state.to(Trigger.STOP)
            await client.stop(grace_s)
            return await self._wait(client, grace_s + MARGIN_S)
        except ShimError as error:
            if await self._wait(client, ENDING_S):
                return True
            self.engine_state.found(str(error))
            if self.engine_state.state is not State.STOPPING:
                self.engine_state.to(Trigger.STOP)
            orphans.ask_end(client.run)
            return await self._wait(client, await self._grace_s() + MARGIN_S)

    async def _grace_s(self) -> float:
        """Return how long it may take to end from now on, in seconds.

        One whose state says nothing of its requests (just adopted, or its page is late under load)
        may still have some in flight: vLLM drains them, and ends at once without any. One that
        never served and does not listen has none; vLLM 0.32 may then wait out its time (seen).
        """
        none_left = (
            not self.has_api
            or self.engine_state.state in STANDING
            or (
                not self.engine_state.has_served
                and (await self.read()).answer is PageAnswer.REFUSED
            )
        )
        return self.engine.stop_grace_s + (0 if none_left else self.engine.drain_s)

    async def kill(self, client: ShimClient) -> bool:
        """End a stalled engine at once: it does not get on, so nothing is to be waited for.

        Returns: as `end`.
        """
        try:
            await client.stop(0.0)
            return await self._wait(client, MARGIN_S)
        except ShimError as error:
            if await self._wait(client, ENDING_S):
                return True
            self.engine_state.found(str(error))
            return False

    async def _drain(self, client: ShimClient) -> None:
        """Keep it red for a while, ask it to end, and wait for its requests."""
        if await self._wait(client, self.engine.unready_s):
            return
        before = left = _in_flight(await self.read())
        asked_at = self.clock.monotonic()
        await client.stop(self.engine.drain_s + self.engine.stop_grace_s)
        while left != 0 and self.clock.monotonic() - asked_at < self.engine.drain_s:
            if await self._wait(client, POLL_S):
                left = 0
                break
            reading = await self.read()
            self.engine_state.show(reading)
            now = _in_flight(reading)
            left = left if now is None else now
        emit(
            self.engine_state.log,
            EngineDrained(
                requests_before=before,
                requests_left=left,
                after_s=round(self.clock.monotonic() - asked_at, 3),
            ),
        )

    async def _wait(self, client: ShimClient, seconds: float) -> bool:
        """Wait for the end, but not longer (as far as that was watched); tell whether it came."""
        return await self.lag.wait(client.exited, seconds)


def _in_flight(reading: Reading) -> int | None:
    """Return how many requests are in flight; None if the page cannot be read.

    Under full load a page is not answered for many seconds (20 s seen, vLLM 0.32 on two cores):
    that says nothing of the requests.
    """
    return reading.running + reading.waiting if reading.answer is PageAnswer.PAGE else None
