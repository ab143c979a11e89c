"""The end of a child that is waited for no more: killed, and reaped."""

import asyncio
import contextlib

KILL_S = 2.0
"""A killed process ends at once, unless it waits for a disk; then it is reaped when it does."""


async def end(process: asyncio.subprocess.Process, within_s: float = KILL_S) -> None:
    """Kill a process if it still runs, and wait for its end; for no longer than `within_s` seconds.

    Without the wait its pipes outlive the event loop, and it stays a zombie until the loop looks.
    """
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
