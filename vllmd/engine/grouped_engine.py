"""What an engine does with the group that it is a part of; its supervisor is one."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from vllmd.engine import exits
from vllmd.engine.group_interface import EngineGroup, GroupEnd, of_newest
from vllmd.engine.liveness.monitor import Stall
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.wanted import WantedEngine

T = TypeVar("T")


class GroupedEngine(WantedEngine):
    """The group of one engine, as it is now: a reload makes another one."""

    @property
    def _group(self) -> EngineGroup:
        return self._settings.context.group

    async def _of_group(self, work: Callable[[EngineGroup], Awaitable[T]]) -> T:
        return await of_newest(lambda: self._group, self._requests, work)

    def _waits_for_group(self, why: str) -> None:
        """Show that only the group is in the way of a start."""
        if self._state.state is not State.WAITING:
            self._state.to(Trigger.WAIT)
        self._state.found(why)

    def _ends_with_group(self, end: GroupEnd) -> Stall | None:
        """Say why the group ends this run; a part that was lost is a failure, and red at once."""
        self._state.found(end.reason)
        if end.lost is None:
            return None
        if self._state.state in (State.LOADING, State.READY, State.UNREACHABLE):
            self._state.to(Trigger.STALLED)
        return Stall(exits.GROUP_LOST, end.reason)

    async def _leave_group(self, client: ShimClient) -> bool:
        """Have the group's head turn red and drain before a member's run ends.

        Returns: whether it may end; False if it goes on, as the head refuses the restart.
        """
        if not self._group.is_member:
            return True
        if self._state.state is State.READY:
            self._state.to(Trigger.DRAIN)
        run_id, exited = client.run["run_id"], client.exited
        while (why := await self._of_group(lambda g: g.release(run_id, exited))) is not None:
            if self._wanted and not self._closing:  # else it was stopped meanwhile
                self._goes_on(why)
                return False
        return True

    def _goes_on(self, why: str) -> None:
        self._restart = False
        self._state.found(f"it goes on: the head of its group refuses the restart: {why}")
        if self._state.state is State.DRAINING:
            self._state.to(Trigger.KEPT)
