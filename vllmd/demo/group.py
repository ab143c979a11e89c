"""The stand-in's part of a model over several hosts, as vLLM 0.32 behaves (seen on two hosts).

A member has no API and prints nothing once it has joined. It does not notice that the head is gone:
it stays, and joins nobody else. It ends with code 0 whatever happens to it. A head waits for its
members, without an end and, with tensor parallelism, without a word. When a member is gone, a
tensor parallel head answers `/health` with 200 until the next request, and then dies of it; one
that is cut off is waited for. A data parallel head goes on, and the requests that it sends to ranks
that are gone are never answered.
"""

import asyncio
import contextlib
import sys
from collections import deque
from typing import Any

import attrs

from vllmd.demo.output import say

RETRY_S = 0.5
TELL_S = 10.0
HANDSHAKE = "VLLMD_STAND_IN_HANDSHAKE_S"
"""Seconds that a data parallel member waits for the head's answer; 300 in vLLM."""
OUT_OF_STEP = "Unexpected HELLO message for remote engine {rank} in CONNECTED state."


@attrs.frozen
class GroupArgs:
    """What the flags say of this part."""

    tensor: bool
    parts: int
    part: int
    address: str
    port: int
    local_ranks: int = 1

    @property
    def ranks(self) -> int:
        """Data parallel ranks of all parts together."""
        return self.parts * self.local_ranks


class HeadError(Exception):
    """A member said what does not fit."""


class Head:
    """The head's side: members that joined, and those that are gone."""

    def __init__(self, args: GroupArgs) -> None:
        self._args = args
        self._joined: dict[int, asyncio.StreamWriter] = {}
        self._gone: dict[int, str] = {}
        self._steps: dict[int, deque[asyncio.Event]] = {}
        """Of each part, what it was asked to compute and has not said yet that it did."""
        self._any_gone = asyncio.Event()
        self._all = asyncio.Event()
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turn = 0
        self._server: asyncio.Server | None = None

    async def gather(self) -> None:
        """Wait until all members have joined, for ever.

        Raises: HeadError: one came twice. OSError: the port is taken.
        """
        self._server = await asyncio.start_server(self._hello, self._args.address, self._args.port)
        waiting = asyncio.ensure_future(self._all.wait())
        try:
            while not self._all.is_set():
                limit_s = None if self._args.tensor else TELL_S
                both: set[asyncio.Future[Any]] = {waiting, self._refused}
                await asyncio.wait(both, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
                if self._refused.done():
                    self._refused.result()
                if not self._all.is_set() and limit_s:
                    text = "Waiting for READY message from DP Coordinator..."
                    say("EngineCore_DP0", text, source="core.py:1247")
        finally:
            waiting.cancel()
        for writer in self._joined.values():
            writer.write(b"READY\n")

    async def _hello(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        part = int(await reader.readline() or b"0")
        if self._all.is_set():
            await reader.read()  # nobody answers one that comes late
            return
        if part in self._joined:
            if not self._refused.done():
                self._refused.set_exception(HeadError(OUT_OF_STEP.format(rank=part)))
            return
        self._joined[part] = writer
        if len(self._joined) == self._args.parts - 1:
            self._all.set()
        peer = writer.get_extra_info("peername")
        with contextlib.suppress(OSError):
            while await reader.readline():
                if steps := self._steps.get(part):
                    steps.popleft().set()
        self._gone[part] = f"[{peer[0]}]:{peer[1]}"
        self._any_gone.set()

    async def admit(self, rank: int | None) -> str | None:
        """Let a request in; `rank` is the data parallel rank that it asks for, if it does.

        Returns: who is gone, if the engine dies of that.
        """
        if self._args.tensor:
            await self._compute_on_all()
            return next(iter(self._gone.values()), None)
        if rank is None:
            rank, self._turn = self._turn, (self._turn + 1) % self._args.ranks
        if (part := rank // self._args.local_ranks) and part in self._joined:
            await self._compute(part)
        return None

    async def _compute_on_all(self) -> None:
        """Make a step, which all parts have a share in; one that is gone ends it."""
        steps = [asyncio.ensure_future(self._compute(part)) for part in self._joined]
        gone: asyncio.Future[Any] = asyncio.ensure_future(self._any_gone.wait())
        whole: asyncio.Future[Any] = asyncio.gather(*steps)
        try:
            await asyncio.wait({whole, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            whole.cancel()
            gone.cancel()

    async def _compute(self, part: int) -> None:
        """Have another part compute something; one that is gone never does."""
        done = asyncio.Event()
        self._steps.setdefault(part, deque()).append(done)
        self._joined[part].write(b"STEP\n")
        await done.wait()


async def join(args: GroupArgs, handshake_s: float) -> bool:
    """Join the head, however long that takes to begin to listen; tell whether it answered.

    The connection is held for as long as this process lives, whatever becomes of the head.
    """
    while True:
        try:
            reader, writer = await asyncio.open_connection(args.address, args.port)
            break
        except OSError:
            await asyncio.sleep(RETRY_S)
    writer.write(f"{args.part}\n".encode())
    _held.append(writer)
    try:
        async with asyncio.timeout(None if args.tensor else handshake_s):
            if await reader.readline():
                _held.append(asyncio.ensure_future(_compute(reader, writer)))
                return True
            await asyncio.Event().wait()  # the head is gone, and this one does not notice
    except (TimeoutError, OSError):
        text = "RuntimeError: Did not receive response from front-end process within 5 minutes"
        sys.stderr.write(f"{text}\n")
    return False


async def _compute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what the head asks for; once it is gone there is nothing more to do."""
    with contextlib.suppress(OSError):
        while await reader.readline():
            writer.write(b"DONE\n")


_held: list[object] = []
"""What must not be closed while this process lives."""
