"""What is kept of a stalled engine before it is killed: where its processes stand, and why.

One folder each, the oldest removed beyond `KEPT`: reason.json, last-lines.log, stacks.txt.
"""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from vllmd import events
from vllmd.clock import Clock
from vllmd.engine.follow import read_last_lines
from vllmd.engine.ledger import Ledger
from vllmd.engine.liveness.reading import Activity
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord

KEPT = 20
LAST_LINES = 500


class Incidents:
    """The incidents of one engine, below a folder that all engines share."""

    def __init__(
        self, folder: Path, ledger: Ledger, clock: Clock, *, limit_s: float, program: str
    ) -> None:
        """Make a recorder; a py-spy beside `program` is used where there is none on the path."""
        self._folder = folder
        self._ledger = ledger
        self._clock = clock
        self._limit_s = limit_s
        self._program = program

    async def record(self, run: RunRecord, reason: str, used: Activity | None) -> Path | None:
        """Write down what can be seen of a stalled engine, in the time that is given.

        Returns: the folder of this incident; None if it could not be written.
        """
        at = self._clock.time()
        try:
            return await write(
                self._folder, run, reason, used, at=at, limit_s=self._limit_s, program=self._program
            )
        except OSError as error:
            self._ledger.log.error(events.INCIDENT_FAILED, problem=str(error))
            return None


async def write(
    folder: Path,
    run: RunRecord,
    reason: str,
    used: Activity | None,
    *,
    at: float,
    limit_s: float,
    program: str,
) -> Path:
    """Write down what can be seen of a stalled engine within `limit_s` seconds.

    `used` is what its processes have used so far, and what their GPU does.

    Returns: the folder of this incident.
    Raises: OSError: it cannot be written.
    """
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    incident = folder / f"{stamp}-{run['engine']}-{run['run_id'][:8]}"
    incident.mkdir(mode=0o750, parents=True, exist_ok=True)
    processes = proc.descendants(run["shim_pid"])
    about = {
        "engine": run["engine"],
        "run_id": run["run_id"],
        "at": at,
        "reason": reason,
        "used": attrs.asdict(used) if used else None,
        "processes": [_process(stat) for stat in processes],
    }
    (incident / "reason.json").write_text(json.dumps(about, indent=2) + "\n")
    lines = read_last_lines(run["log"], run["log_offset"])[-LAST_LINES:]
    (incident / "last-lines.log").write_text("\n".join([*lines, ""]))
    stacks = await _stacks([stat.pid for stat in processes], limit_s, program)
    (incident / "stacks.txt").write_text(stacks)
    _prune(folder)
    return incident


def _process(stat: proc.Stat) -> dict[str, object]:
    """Say where one process stands; T is stopped, D waits for a device, S sleeps, R runs."""
    waits_in = None
    with contextlib.suppress(OSError):
        waits_in = Path(f"/proc/{stat.pid}/wchan").read_text().strip() or None
    return {
        "pid": stat.pid,
        "title": proc.command_line(stat.pid)[:200] or stat.name,
        "state": stat.state,
        "waits_in": waits_in,
    }


async def _stacks(pids: Sequence[int], limit_s: float, program: str) -> str:
    """Return the Python stacks of all processes, or why there are none.

    `--nonblocking` does not stop the process: one that was suspected wrongly is not hurt.
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


def _prune(folder: Path) -> None:
    for old in sorted(path for path in folder.iterdir() if path.is_dir())[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
