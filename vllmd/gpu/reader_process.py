"""The daemon's end of a source of readings: its process, watched, killed when late, started again.

Whatever the source does, nobody waits for it: a call of NVML that never returns costs the readings,
which become stale and disappear, and nothing else.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog

from vllmd.events.base import emit
from vllmd.events.gpu import GpuReaderFailed, GpuReaderRecovered
from vllmd.gpu import calls, wire
from vllmd.gpu.calls import NvmlCalls, RowKey
from vllmd.gpu.row_guard import RowGuard
from vllmd.gpu.rows import FAST, SLOW
from vllmd.util.clock import Clock, wait_event
from vllmd.util.parts import describe

FIRST_MESSAGE_S = 60.0
"""A driver without persistence mode takes seconds for each GPU to begin with."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
CRASH_PAUSE_S = 5.0
"""The longest pause after a source that died or hung: a figure is worth a start each 5 s."""
SOON_S = 10.0
"""A reading that is due at once comes within so many seconds."""
LAST_LOOK_S = 1.0
"""Extra time for a reader that is late: the daemon itself may not have run."""
CAREFUL_S = 1.0
"""How often the slow set is read until it is known why a source died."""
STEADY_S = 120.0
"""A source that lasted so long begins again with the first pause."""
MAX_STUCK = 3
"""Processes that do not die (uninterruptible, in the driver): with so many, no other is started."""
MAX_LINE = 4 * 1024 * 1024

_NO_SENSE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What a message raises that lacks something, or has something else in its place."""

_KILLED = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
"""Ends that somebody else made."""
_TRIAL = "trial"
"""Not a problem, but the end of a trial: the next run reads other rows."""

_log = structlog.get_logger()


@attrs.frozen
class ReaderProblem:
    """Why there are no readings: one of `wire.REASONS`, and a sentence."""

    reason: str
    text: str


@attrs.define
class Figures:
    """How the source's process fared."""

    starts: int = 0
    stuck: int = 0


STARTING = ReaderProblem("starting", "the GPUs are being looked for")


class ReaderProcess:
    """One source; `run` keeps it alive."""

    def __init__(
        self,
        argv: Sequence[str],
        take: Callable[[Mapping[str, Any]], None],
        forget: Callable[[], None],
        clock: Clock,
        guard: RowGuard,
        *,
        late_s: float,
        first_s: float = FIRST_MESSAGE_S,
        reads: str = FAST,
        every_s: float = 1.0,
    ) -> None:
        """Make it; `take` gets each message, `forget` is told when there is nobody who reads.

        `reads` is the set by whose messages it is known that it works; they come each `every_s`.
        """
        self._argv = argv
        self._take = take
        self._forget = forget
        self._clock = clock
        self._guard = guard
        self.reads = reads
        self._every_s = every_s
        self._late_s = late_s
        self._first_s = first_s
        self.process: subprocess.Popen[bytes] | None = None
        self._ending: list[subprocess.Popen[bytes]] = []
        self._calls: int | None = None
        self._crashed = False
        self._left_out: frozenset[RowKey] = frozenset()
        self._released_until: float | None = None
        self._wake = asyncio.Event()
        self.problem: ReaderProblem | None = STARTING
        self.figures = Figures()

    async def run(self) -> None:
        """Keep a source running until cancelled."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                await self._wait_while_released()
                if self._stuck() >= MAX_STUCK:
                    self._fail(ReaderProblem("hung", f"{MAX_STUCK} readers hang in the driver"))
                    await self._clock.sleep(LONGEST_PAUSE_S)
                    continue
                began = self._clock.monotonic()
                problem = await self._live()
                lived_s = self._clock.monotonic() - began
                self._blame(problem, lived_s)
                self._end()
                again = (
                    problem.reason in ("devices_changed", _TRIAL)
                    or self._released_until is not None
                )
                if not again:
                    self._fail(problem)
                self._forget()
                if again:
                    pause_s = FIRST_PAUSE_S
                    continue
                if lived_s >= STEADY_S:
                    pause_s = FIRST_PAUSE_S
                if problem.reason == "hung" or self._crashed:
                    pause_s = min(pause_s, CRASH_PAUSE_S)
                await self._clock.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._end()

    def _blame(self, problem: ReaderProblem, lived_s: float) -> None:
        """Take note of what a process that died or hung was about to do."""
        self._crashed = False
        if self.process is None or self._released_until is not None:
            return
        noted, code = self.noted(), self.process.returncode
        self._crashed = problem.reason == "died" and code is not None and code < 0
        if problem.reason == "hung":
            self._guard.hung(noted.under_way, lived_s)
        elif problem.reason == "died" and code not in (None, 0, *_KILLED):
            self._guard.crashed(noted.called, noted.under_way, lived_s)

    def noted(self) -> NvmlCalls:
        """Return what the process has asked for, and asks for now."""
        if self._calls is None:
            return NvmlCalls((), None)
        try:
            return calls.read(self._calls)
        except ValueError:  # whoever crashed wrote into it
            return NvmlCalls((), None)

    def _fail(self, problem: ReaderProblem) -> None:
        if problem != self.problem:
            emit(_log, GpuReaderFailed(reason=problem.reason, problem=problem.text))
        self.problem = problem

    async def _live(self) -> ReaderProblem:
        """Run one process to its end; returns why it ended."""
        try:
            self._left_out = self._guard.leave_out()
            self._calls = calls.make(self._left_out)
            process = _start(self._argv, self._calls)
        except OSError as error:
            return ReaderProblem("died", f"cannot start {self._argv[0]}: {error}")
        self.process = process
        self.figures.starts += 1
        assert process.stdout is not None
        reader = asyncio.StreamReader(limit=MAX_LINE)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), process.stdout
            )
        except OSError as error:
            return ReaderProblem("died", f"the reader cannot be listened to: {error}")
        try:
            return await self._listen(reader, process)
        finally:
            transport.close()

    async def _listen(
        self, reader: asyncio.StreamReader, process: subprocess.Popen[bytes]
    ) -> ReaderProblem:
        limit_s = self._first_s
        began, rounds = self._clock.monotonic(), 0
        if self._guard.careful:
            self._set_pace(min(CAREFUL_S, self._every_s))
        while True:
            try:
                line = await self._next(reader, limit_s)
                if not line:
                    return await self._how_it_died(process)
                message = wire.decode(line)
                if message["kind"] == "problem":
                    return ReaderProblem(str(message["reason"]), str(message["text"]))
                self._take(message)
            except TimeoutError:
                text = f"the reader said nothing for {limit_s:g} s{self._during()}"
                return ReaderProblem("hung", text)
            except _NO_SENSE as error:
                return ReaderProblem("died", f"the reader does not make sense: {describe(error)}")
            if message["kind"] in ("devices", self.reads):
                soon = self._guard.careful or message["kind"] == "devices"
                limit_s = min(self._late_s, SOON_S) if soon else self._late_s
            if message["kind"] == self.reads:
                self._works()
                rounds += 1
                lived_s = self._clock.monotonic() - began
                if not self._stuck() and self._guard.tries_again(lived_s):
                    return ReaderProblem(_TRIAL, "what hung is read again")
                if self._guard.has_passed(rounds, lived_s):
                    self._guard.passed(self.noted().called)
                    if self._guard.leave_out() != self._left_out:
                        return ReaderProblem(_TRIAL, "other rows are tried")
                    self._set_pace(self._every_s)

    async def _next(self, reader: asyncio.StreamReader, limit_s: float) -> bytes:
        """Return the next line. Raises: TimeoutError: none came, and none is there."""
        try:
            async with self.limit(limit_s):
                return await reader.readline()
        except TimeoutError:
            async with asyncio.timeout(LAST_LOOK_S):
                return await reader.readline()

    def limit(self, seconds: float) -> asyncio.Timeout:
        """Return what ends the wait for a message after so long."""
        return asyncio.timeout(seconds)

    def _set_pace(self, seconds: float) -> None:
        if self.reads == SLOW:
            self.tell(f"pace {SLOW} {seconds}")

    def _during(self) -> str:
        """Return the words that say in which call the process is."""
        under_way = self.noted().under_way
        return f", in {under_way.row} of {under_way.uuid or 'all GPUs'}" if under_way else ""

    def _works(self) -> None:
        if self.problem is not None:
            if self.problem != STARTING:
                emit(_log, GpuReaderRecovered(after=self.problem.reason))
            self.problem = None

    async def _how_it_died(self, process: subprocess.Popen[bytes]) -> ReaderProblem:
        for _ in range(20):
            if process.poll() is not None:
                break
            await asyncio.sleep(0.05)
        code, words = process.returncode, b""
        if process.stderr is not None:
            os.set_blocking(process.stderr.fileno(), False)
            words = process.stderr.read() or b""
        last = words.decode(errors="replace").strip().splitlines()[-1:]
        text = f"the reader ended with code {code}{self._during()}"
        return ReaderProblem("died", ": ".join([text, *last]))

    def _end(self) -> None:
        """Kill the process; one that does not die is left to be looked at again."""
        if self._calls is not None:
            os.close(self._calls)
            self._calls = None
        process, self.process = self.process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        self._ending.append(process)
        self._stuck()

    def _stuck(self) -> int:
        self._ending = [process for process in self._ending if process.poll() is None]
        self.figures.stuck = len(self._ending)
        return self.figures.stuck

    # --- what others ask of it ---------------------------------------------------------------

    def tell(self, words: str) -> bool:
        """Send a line to the source; tell whether one is there to take it."""
        if self.process is None or self.process.stdin is None:
            return False
        try:
            os.write(self.process.stdin.fileno(), f"{words}\n".encode())
        except OSError:
            return False
        return True

    def release(self, seconds: float) -> None:
        """Release the GPUs for this long: a reset needs them unused."""
        self._released_until = self._clock.monotonic() + seconds
        self._fail(ReaderProblem("released", "let go of by 'vllmd gpu release'"))
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
        self._wake.set()

    def resume(self) -> None:
        """Read again, before the time is over."""
        self._released_until = None
        self._wake.set()

    async def _wait_while_released(self) -> None:
        while self._released_until is not None:
            left_s = self._released_until - self._clock.monotonic()
            if left_s <= 0:
                self._released_until = None
                return
            self._wake.clear()
            await wait_event(self._wake, left_s, self._clock)


def _start(argv: Sequence[str], noted: int) -> subprocess.Popen[bytes]:
    """Start a process that does not get the terminal's Ctrl-C: it ends with its standard input.

    Raises: OSError: it cannot be started.
    """
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={**os.environ, calls.VARIABLE: str(noted)},
        pass_fds=(noted,),
        start_new_session=True,
    )
