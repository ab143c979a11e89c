"""One folder for each failure, written before a stalled engine is killed, or once one has ended.

The oldest are removed beyond `KEPT` for each engine. Files: reason.json (why, processes, command),
last-lines.log, stacks.txt (of a stalled one), end.json, why.txt, metrics.txt.gz, gpu.json,
kernel.log.
"""

import asyncio
import contextlib
import gzip
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from vllmd.config.command import Command
from vllmd.engine import exits
from vllmd.engine.causes.first_error import first_error
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.incidents.kernel_log import kernel_lines
from vllmd.engine.incidents.stacks import take_stacks
from vllmd.engine.liveness.probes import Probes
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.output.run_output import read_last_lines
from vllmd.events.base import emit
from vllmd.events.engine import IncidentFailed
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord
from vllmd.util.clock import Clock
from vllmd.util.loop_lag import LoopLag
from vllmd.util.units import MINUTE_S
from vllmd.util.within import run_within

KEPT = 20
LAST_LINES = 500
LOOK_BACK_S = 10 * MINUTE_S

DISK_S = 5.0
"""How long the end of an engine waits for the disk that keeps what was seen."""

Files = Mapping[str, bytes]


class IncidentRecorder:
    """The incidents of one engine, below a folder that all engines share."""

    def __init__(
        self,
        folder: Path,
        engine_state: EngineState,
        clock: Clock,
        command: Command,
        *,
        limit_s: float,
        probes: Probes,
        gpu: EngineGpus,
        lag: LoopLag,
        mask: Callable[[str], str] = str,
        before: "IncidentRecorder | None" = None,
    ) -> None:
        """Make a recorder; taking stacks may last `limit_s` watched seconds.

        `probes` and `gpu` know what the engine and its GPUs showed in the last minutes, `mask`
        takes secrets out, `before` is the recorder that it takes the place of.
        """
        self._folder = folder
        self._state = engine_state
        self._clock = clock
        self._command = command
        self._limit_s = limit_s
        self._probes, self._gpu, self._lag, self._mask = probes, gpu, lag, mask
        self._made: tuple[str, Path] | None = before._made if before else None

    async def before_kill(
        self, run: RunRecord, reason: str, used: ProcessActivity | None
    ) -> Path | None:
        """Write down what can be seen of a stalled engine, in the time that is given.

        Returns: the folder of this incident; None if it could not be written.
        """
        processes: list[proc.Stat] = []
        with contextlib.suppress(OSError):  # the rest is worth as much
            processes = proc.descendants(run["shim_pid"])
        about = {
            "used": attrs.asdict(used) if used else None,
            "processes": [_process(stat) for stat in processes],
        }
        folder, evidence = self._begin(run, reason, about)
        lines = await self._printed(run)
        if not await self._written(folder, lambda: evidence(lines, first_error(lines))):
            return None
        pids = [stat.pid for stat in processes]
        stacks = await take_stacks(pids, self._limit_s, self._command.argv[0], self._lag)
        await self._written(folder, lambda: {"stacks.txt": stacks.encode()})
        return folder

    async def _printed(self, run: RunRecord) -> list[str]:
        """Return its last lines, and that they are missing if the disk keeps them."""
        try:
            lines, _ = await run_within(run["log"], lambda: read_last_lines(run), DISK_S)
        except OSError as error:
            lines = [f"vllmd could not read {run['log']}: {error.strerror}"]
        return [self._mask(line) for line in lines]

    async def _written(self, folder: Path, files: Callable[[], Files]) -> bool:
        """Write files aside; what a disk that hangs does not take, holds up no kill."""
        try:
            return await run_within(str(folder.parent), lambda: self._write(folder, files), DISK_S)
        except OSError as error:
            emit(self._state.log, IncidentFailed(problem=str(error)))
            return False

    def after_end(self, run: RunRecord, end: Exit, printed: Sequence[str]) -> Path:
        """Write down what is left to see of an engine that ended unexpectedly; returns at once.

        `printed` are its last lines, without secrets: the next run writes to the same log.

        Returns: the folder that it is written to, that of its stall if there was one.
        """
        ended = {
            "end.json": f"{json.dumps(exits.to_json(end), indent=2)}\n".encode(),
            "why.txt": f"{exits.report_of(end, run['engine']).text()}\n".encode(),
        }
        made = self._made
        if made is not None and made[0] == run["run_id"]:
            folder = made[1]
            self._later(folder, lambda: ended)
            return folder
        folder, evidence = self._begin(run, end.describe(), {"processes": list(end.killed)})
        lines = list(printed)
        self._later(folder, lambda: {**evidence(lines, end.first_error), **ended})
        return folder

    def _begin(
        self, run: RunRecord, reason: str, more: Mapping[str, Any]
    ) -> tuple[Path, Callable[[Sequence[str], str | None], Files]]:
        """Take what only the event loop may touch; the rest is made of the lines and their root."""
        at, mask = self._clock.time(), self._mask
        stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
        folder = self._folder / f"{stamp}-{run['engine']}-{run['run_id'][:8]}"
        self._made = run["run_id"], folder
        about = {
            "engine": run["engine"],
            "run_id": run["run_id"],
            "at": at,
            "reason": mask(reason),
            **more,
            "command": [mask(each) for each in self._command.masked_argv()],
            "env": {k: mask(v) for k, v in self._command.masked_own_env().items()},
        }
        pages, gpu = self._probes.pages(), list(self._gpu.recent())
        self._later(folder, lambda: {"kernel.log": kernel_lines(at - LOOK_BACK_S).encode()})

        def evidence(lines: Sequence[str], root: str | None) -> Files:
            reason = {**about, "first_error": root}
            return {
                "reason.json": f"{json.dumps(reason, indent=2)}\n".encode(),
                "last-lines.log": "\n".join([*lines[-LAST_LINES:], ""]).encode(),
                "metrics.txt.gz": gzip.compress(pages, mtime=0),
                **({"gpu.json": json.dumps(gpu).encode()} if gpu else {}),
            }

        return folder, evidence

    def _later(self, folder: Path, files: Callable[[], Files]) -> None:
        """Write files in a thread; a loop that ends waits for its threads."""
        try:
            asyncio.get_running_loop().run_in_executor(None, self._write, folder, files)
        except (OSError, RuntimeError) as error:  # no thread: the end itself is still told
            emit(self._state.log, IncidentFailed(problem=str(error)))

    def _write(self, folder: Path, files: Callable[[], Files]) -> bool:
        """Write files; tell whether they are there. A full disk is only said."""
        try:
            _write_files(folder, files())
        except OSError as error:
            emit(self._state.log, IncidentFailed(problem=str(error)))
            return False
        return True


def _write_files(folder: Path, files: Files) -> None:
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    _prune(folder.parent, folder.name.split("-", 1)[1].rpartition("-")[0])


def _process(stat: proc.Stat) -> dict[str, object]:
    """Say where one process stands; T is stopped, D waits for a device, S sleeps, R runs."""
    try:
        waits_in = Path(f"/proc/{stat.pid}/wchan").read_text().strip() or None
    except OSError:
        waits_in = None
    return {
        "pid": stat.pid,
        "title": proc.command_line(stat.pid)[:200] or stat.name,
        "state": stat.state,
        "waits_in": waits_in,
    }


def _prune(folder: Path, engine: str) -> None:
    """Keep the newest of one engine, so that a loop of one does not cost another its evidence."""
    own = [
        path
        for path in folder.iterdir()
        if path.is_dir() and path.name.split("-", 1)[-1].rpartition("-")[0] == engine
    ]
    for old in sorted(own)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
