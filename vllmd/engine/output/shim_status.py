"""What a shim says of its engine's output: asked for once, and again when it has changed.

A shim whose engine prints nothing is not woken.
"""

import asyncio
from pathlib import Path

from vllmd.engine.process.shim_client import Conversation
from vllmd.errors import ShimError
from vllmd.shim.protocol import Message


class ShimStatus:
    """The last `protocol.Status` of the shim that listens on a socket; for one event loop."""

    def __init__(self, socket: Path) -> None:
        self.last: Message = {}
        """What it said; without a line under way once it says no more."""
        self.engine_runs = False
        """Whether it answered when it was asked last."""
        self._socket = socket
        self._talk: Conversation | None = None
        self._told: asyncio.Task[Message] | None = None
        """Done once the status is another one."""

    async def look(self) -> bool:
        """Ask it, unless it would say the same.

        Returns: False if nothing has changed since the last look; the disk has all of it then.
        """
        if self._told is not None and not self._told.done():
            return False
        try:
            self.last = await self._ask()
            self.engine_runs = True
        except ShimError:
            self.close()
            self.engine_runs = False
            self.last.pop("unfinished", None)
        return True

    async def _ask(self) -> Message:
        """Take what it told, or ask; on a new connection if the one that was is broken.

        Raises: ShimError.
        """
        told, self._told = self._told, None
        talk = self._talk
        if talk is not None:
            try:
                return self._wait_for_more(talk, await (told or talk.ask({"op": "status"})))
            except ShimError:
                self.close()
        talk = self._talk = await Conversation.open(self._socket)
        return self._wait_for_more(talk, await talk.ask({"op": "status"}))

    def _wait_for_more(self, talk: Conversation, status: Message) -> Message:
        if status.get("log_settled"):
            request = {"op": "status", "once_changed": True}
            self._told = asyncio.create_task(talk.ask(request, timeout_s=None))
            self._told.add_done_callback(_retrieve)
        return status

    def close(self) -> None:
        """Let go of the connection."""
        if self._told is not None:
            self._told.cancel()
            self._told = None
        if self._talk is not None:
            self._talk.close()
            self._talk = None


def _retrieve(task: asyncio.Task[Message]) -> None:
    """Mark the error as seen: the next look has it."""
    if not task.cancelled():
        task.exception()
