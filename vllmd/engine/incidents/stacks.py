"""The Python stacks of an engine's processes, taken by py-spy."""

import asyncio
import os
import shutil
from collections.abc import Sequence

from vllmd.util import child_process
from vllmd.util.loop_lag import LoopLag
from vllmd.util.within import run_within

FIND_S = 2.0
"""A disk that takes longer hangs: the engine does not wait for it to be killed."""


async def take_stacks(pids: Sequence[int], limit_s: float, program: str, lag: LoopLag) -> str:
    """Return the stacks of all processes, or why there are none; `limit_s` counts as watched.

    A py-spy beside `program` is used where there is none on the path. `--nonblocking` does not stop
    the process: one that was suspected wrongly is not hurt.
    """
    try:
        tool = await run_within(os.path.dirname(program), lambda: _find(program), FIND_S)
    except OSError as error:
        return f"no stacks: {error.strerror} ({error.filename})\n"
    if tool is None:
        return "no stacks: py-spy is not installed (pip install py-spy beside vLLM)\n"
    parts: list[str] = []
    taking = asyncio.ensure_future(_dump_all(tool, pids, parts))
    try:
        if await lag.wait(taking, limit_s):
            taking.result()
        else:
            parts.append(f"cut off after {limit_s:g} s\n")
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    return "\n".join(parts)


def _find(program: str) -> str | None:
    return shutil.which("py-spy") or shutil.which("py-spy", path=os.path.dirname(program))


async def _dump_all(tool: str, pids: Sequence[int], parts: list[str]) -> None:
    for pid in pids:
        parts.append(await _dump(tool, pid))


async def _dump(tool: str, pid: int) -> str:
    process = await asyncio.create_subprocess_exec(
        *(tool, "dump", "--nonblocking", "--pid", str(pid)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        await child_process.end(process)
    return f"# pid {pid}\n{output.decode(errors='replace')}"
