"""A start waits until it is known whether the engine is held, or was stopped; but not for ever.

A daemon that begins while its disk is late knows neither. What runs is adopted all the same.
"""

import asyncio

from vllmd.engine.engine_state import EngineState
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.util.clock import Clock
from vllmd.util.state_file import READ_AGAIN_S

LATE_S = 60.0
"""A disk that has not answered by then keeps no engine from serving."""


class LateStart:
    """Of one engine."""

    def __init__(self, state: EngineState, stopped: StoppedEngines, clock: Clock) -> None:
        self._state, self._stopped, self._clock = state, stopped, clock
        self._until: float | None = None
        self._said: str | None = None

    async def is_to_wait(self, requests: OperatorRequests, heard: int) -> bool:
        """Read what was not read, for a while; tell whether all is to be looked at again."""
        state, stopped = self._state, self._stopped
        if state.memory.late is None and stopped.late is None:
            return False
        await stopped.read_again()
        await asyncio.to_thread(state.memory.read_again)
        state.save()  # with what was read late
        late = state.memory.late or stopped.late
        if late is None:
            if state.problem == self._said:
                state.problem = None
            return True
        now = self._clock.monotonic()
        self._until = now + LATE_S if self._until is None else self._until
        if now >= self._until:
            return False
        self._said = (
            f"it is not started yet: whether it is held or was stopped is not read ({late})"
        )
        state.found(self._said)
        await requests.beyond_within(heard, READ_AGAIN_S, self._clock)
        return True
