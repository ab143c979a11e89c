"""The kernel's log, followed for Xids: some come by no other way.

From the kernel's own buffer where this user may read it, else from the journal, by `journalctl`,
which sleeps until there is something new. Source: Documentation/ABI/testing/dev-kmsg.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from vllmd.util.clock import Clock
from vllmd.xids import KernelXid, parse_kernel_line

DEVICE = "/dev/kmsg"
RETRY_S = 60.0
_JOURNAL = (
    *("setpriv", "--pdeathsig", "TERM"),  # it must not outlive a daemon that is killed
    *("journalctl", "-k", "-f", "-n", "0", "-q", "-o", "cat", "-g", "NVRM: Xid"),
)
_RECORD_BYTES = 8192

Take = Callable[[KernelXid], None]


class KernelLog:
    """One follower; `run` lasts until it is cancelled."""

    def __init__(
        self,
        take: Take,
        clock: Clock,
        device: str = DEVICE,
        command: tuple[str, ...] = _JOURNAL,
    ) -> None:
        self._take = take
        self._clock = clock
        self._device = device
        self._command = command
        self.readable: bool | None = None
        """Whether the log can be followed; None before that is known."""

    async def run(self) -> None:
        """Follow the log, by whichever way there is."""
        while True:
            try:
                descriptor = os.open(self._device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                await self._follow_journal()
            else:
                await self._follow_device(descriptor)
            self.readable = False
            await self._clock.sleep(RETRY_S)

    async def _follow_device(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def read() -> None:
            while True:
                try:
                    record = os.read(descriptor, _RECORD_BYTES)
                except BlockingIOError:
                    return
                except BrokenPipeError:  # overwritten before it was read: go on behind the gap
                    continue
                except OSError:
                    record = b""
                if not record:
                    if not ended.done():
                        ended.set_result(None)
                    return
                self._look(record.partition(b";")[2].partition(b"\n")[0])

        try:
            with contextlib.suppress(OSError):
                os.lseek(descriptor, 0, os.SEEK_END)
            try:
                loop.add_reader(descriptor, read)
            except PermissionError:  # no device but a file: nothing to wait for
                read()
                return
            self.readable = True
            await ended
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def _follow_journal(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return
        assert process.stdout is not None
        self.readable = True
        try:
            while line := await process.stdout.readline():
                self._look(line)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _look(self, line: bytes) -> None:
        if b"Xid" in line and (found := parse_kernel_line(line.decode(errors="replace"))):
            self._take(found)
