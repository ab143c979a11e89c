"""Unary calls, as the server over HTTP/2 and what answers them see each other."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import attrs

from vllmd.traces.refusal import RefusedError
from vllmd.traces.unpack import BudgetShare, MemoryBudget


@attrs.frozen
class CallReply:
    """An answer: headers, and after a body the trailers; names in lower case, `:status` first.

    Source: RFC 9113, "HTTP Fields".
    """

    headers: list[tuple[str, str]]
    body: bytes | None = None
    trailers: list[tuple[str, str]] = attrs.field(factory=list)


class Calls(Protocol):
    """What answers calls."""

    @property
    def room(self) -> MemoryBudget:
        """The bytes that messages may take."""
        ...

    def begin(self, headers: Mapping[str, str]) -> CallReply | None:
        """Look at the headers of a call, names in lower case, pseudo-headers with their colon.

        Returns: an answer if its message is not wanted, else None.
        """
        ...

    def look(self, data: bytearray) -> None:
        """Look at a message of which a part has come: `data` begins with gRPC's prefix of 5 bytes.

        Source: gRPC over HTTP2, "Length-Prefixed-Message".
        Raises: RefusedError: the rest of it need not come.
        """
        ...

    def refuse(self, error: RefusedError) -> CallReply:
        """Return the answer to a call that is not taken."""
        ...

    async def answer(
        self, headers: Mapping[str, str], data: bytearray, share: BudgetShare
    ) -> CallReply:
        """Answer a call whose message came whole; never raises but when cancelled.

        `data` is as `look` has it, `share` what it holds of the room.
        """
        ...


@attrs.define(eq=False)
class CallStream:
    """A call under way; `began` in monotonic seconds."""

    id: int
    headers: dict[str, str]
    share: BudgetShare
    began: float
    data: bytearray = attrs.field(factory=bytearray)
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    ended: bool = False
    """Whether all of its message came."""
    reply: CallReply | None = None
    """What could not be sent yet, because the client gives no window."""

    def release(self) -> None:
        """Give back what it holds now, not when garbage is collected."""
        self.share.gave_way = lambda: None
        self.share.close()
        self.data.clear()
