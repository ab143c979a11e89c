"""The API server's side of the stand-in's EngineCore: requests in, tokens out, and its death."""

import asyncio
import itertools
import json
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Callable

import attrs

from vllmd.demo.args import Args
from vllmd.demo.group import Head
from vllmd.demo.metrics import Metrics
from vllmd.demo.output import say

LOAD_S = "VLLMD_STAND_IN_LOAD_S"
CLOSED = "Connection closed by peer"
"""Source: gloo/transport/tcp/pair.cc, as a tensor parallel head printed it."""
STEP_S = "VLLMD_STAND_IN_STEP_S"


class EngineDeadError(Exception):
    """EngineCore encountered an issue. See stack trace (above) for the root cause."""


@attrs.define(eq=False)
class DemoRequest:
    """One sequence that is being generated."""

    prompt_tokens: int
    max_tokens: int
    adapter: str | None = None
    rank: int | None = None
    """The data parallel rank that it asks for."""
    started: float = attrs.field(factory=time.monotonic)
    first_token_at: float = 0.0
    tokens: int = 0
    words: asyncio.Queue[str | Exception | None] = attrs.field(factory=asyncio.Queue)


class DemoEngine:
    """An EngineCore process and the requests in it; `died` is set when it is gone."""

    def __init__(self, args: Args, metrics: Metrics) -> None:
        self._args = args
        self._metrics = metrics
        self._ids = itertools.count()
        self._requests: dict[str, DemoRequest] = {}
        self.died = asyncio.Event()
        self.computes = asyncio.Event()
        """Unset while it is paused: requests wait then."""
        self.computes.set()
        self.head: Head | None = None
        """The members of its group; None if it is of one host."""
        self.process: asyncio.subprocess.Process

    async def start(self, *, load_s: str | None = None) -> None:
        """Start the EngineCore and wait until it is loaded, which takes `load_s` seconds.

        Raises: EngineDeadError: it ended before.
        """
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "vllmd.demo.core",
            self._args.model,
            load_s or os.environ.get(LOAD_S, "2"),
            os.environ.get(STEP_S, "0.02"),
            str(self._args.max_num_seqs),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        if not await self.process.stdout.readline():
            raise EngineDeadError
        self._reading = asyncio.create_task(self._read())

    @property
    def running(self) -> int:
        """Requests that have no last token yet."""
        return len(self._requests)

    async def generate(
        self, request: DemoRequest, finished: Callable[[], None]
    ) -> AsyncIterator[str]:
        """Yield the words of one request; `finished` is told of its end, but not of an abort.

        Raises: EngineDeadError: the EngineCore is gone, or the server ends.
        """
        await self.computes.wait()
        if self.head is not None and (gone := await self.head.admit(request.rank)) is not None:
            text = f"RuntimeError: Worker failed with error '[pair.cc:553] {CLOSED} {gone}'"
            say("EngineCore", text, level="ERROR", source="core.py:1512")
            self.process.terminate()
            await self.died.wait()
        if self.died.is_set():
            raise EngineDeadError
        name = str(next(self._ids))
        self._requests[name] = request
        self._metrics.waiting(self.running)
        if request.adapter:
            self._metrics.lora(request.adapter, "")
        self._send(
            {"id": name, "prompt_tokens": request.prompt_tokens, "max_tokens": request.max_tokens}
        )
        try:
            while (word := await request.words.get()) is not None:
                if isinstance(word, Exception):
                    raise word
                yield word
            self._metrics.finished(request, "length")
            finished()
        finally:
            if self._requests.pop(name, None) is not None and not self.died.is_set():
                self._send({"abort": name})

    async def wait_idle(self, timeout_s: float = math.inf) -> None:
        """Wait until no request runs, at most so long."""
        deadline = time.monotonic() + timeout_s
        while self._requests and time.monotonic() < deadline:  # noqa: ASYNC110 - a simple drain
            await asyncio.sleep(0.05)

    def rest(self, *, asleep: bool) -> None:
        """Tell the EngineCore whether it holds its memory."""
        self._send({"asleep": asleep})

    def abort_all(self) -> None:
        """End every request with an error."""
        for request in self._requests.values():
            request.words.put_nowait(EngineDeadError())

    def _send(self, message: dict[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            for name, word in message["tokens"].items():
                self._take(name, word)
            for name in message["finished"]:
                if request := self._requests.pop(name, None):
                    request.words.put_nowait(None)
            held = sum(r.prompt_tokens + r.tokens for r in self._requests.values())
            self._metrics.stepped(message, held)
        self.died.set()
        self.computes.set()
        self.abort_all()

    def _take(self, name: str, word: str) -> None:
        request = self._requests.get(name)
        if request is None:
            return
        now = time.monotonic()
        if request.tokens == 0:
            request.first_token_at = now
        else:
            self._metrics.of("vllm:inter_token_latency_seconds").observe(
                (now - request.first_token_at) / request.tokens
            )
        request.tokens += 1
        request.words.put_nowait(word)
