"""The Python stacks of an engine's processes, taken by py-spy."""

import asyncio
import os
import shutil
from collections.abc import Sequence


async def take_stacks(pids: Sequence[int], limit_s: float, program: str) -> str:
    """Return the stacks of all processes, or why there are none.

    A py-spy beside `program` is used where there is none on the path. `--nonblocking` does not stop
    the process: one that was suspected wrongly is not hurt.
    """
    tool = shutil.which("py-spy") or shutil.which("py-spy", path=os.path.dirname(program))
    if tool is None:
        return "no stacks: py-spy is not installed (pip install py-spy beside vLLM)\n"
    parts: list[str] = []
    try:
        async with asyncio.timeout(limit_s):
            for pid in pids:
                parts.append(await _dump(tool, pid))
    except TimeoutError:
        parts.append(f"cut off after {limit_s:g} s\n")
    return "\n".join(parts)


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
        if process.returncode is None:
            process.kill()
            await process.wait()
    return f"# pid {pid}\n{output.decode(errors='replace')}"
