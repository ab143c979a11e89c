"""Unary calls, as the server over HTTP/2 and what answers them see each other."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import attrs

from vllmd.traces.refusal import RefusedError
from vllmd.traces.unpack import Room, Share


@attrs.frozen
class Reply:
    """An answer: headers, and after a body the trailers."""

    headers: list[tuple[str, str]]
    body: bytes | None = None
    trailers: list[tuple[str, str]] = attrs.field(factory=list)


class Calls(Protocol):
    """What answers calls."""

    @property
    def room(self) -> Room:
        """The bytes that messages may take."""
        ...

    def begin(self, headers: Mapping[str, str]) -> Reply | None:
        """Look at the headers of a call; returns an answer if its message is not wanted."""
        ...

    def look(self, data: bytearray) -> None:
        """Look at the beginning of a message. Raises: RefusedError."""
        ...

    def refuse(self, error: RefusedError) -> Reply:
        """Return the answer to a call that is not taken."""
        ...

    async def answer(self, headers: Mapping[str, str], data: bytearray, share: Share) -> Reply:
        """Answer a call whose message came; never raises but when cancelled."""
        ...


@attrs.define(eq=False)
class Stream:
    """A call under way."""

    id: int
    headers: dict[str, str]
    share: Share
    began: float
    data: bytearray = attrs.field(factory=bytearray)
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    ended: bool = False
    """Whether all of its message came."""
    reply: Reply | None = None
    """What could not be sent yet, because the client gives no window."""

    def let_go(self) -> None:
        """Give back what it holds now, not when garbage is collected."""
        self.share.gave_way = lambda: None
        self.share.close()
        self.data.clear()
