"""What the daemon hands to the supervisor of one engine: folders, the clock, what engines share."""

from collections.abc import Callable
from pathlib import Path

import attrs

from vllmd.config import paths
from vllmd.config.command import Command
from vllmd.engine import disk_space
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.group_interface import ALONE, EngineGroup
from vllmd.engine.output.first_errors import ALL_MARKS, FirstErrors
from vllmd.engine.process.spawner import Spawner
from vllmd.engine.restart.load_slots import LoadSlots
from vllmd.engine.sleeping.host_memory import WeightsMemory
from vllmd.engine.sleeping.turns import Turns
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.stopping import cleanup
from vllmd.shim.protocol import PROTOCOL, ROTATION, Rotation, Spec
from vllmd.util import within as within_module
from vllmd.util.clock import Clock
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.loop_lag import LoopLag
from vllmd.util.units import KIB

TAIL_BYTES = 64 * KIB
"""Of the newest output, which a shim keeps for the record of an end."""


def _beside(directory: Path) -> Path:
    return paths.weights_dir(directory.parent.parent, directory.name)


def _log_beside(log: Path) -> Path:
    return paths.weights_log(log.parent, log.stem)


@attrs.frozen
class EngineContext:
    """What an engine's supervisor works with; all of it is the daemon's."""

    directory: Path
    """Of its shim: sockets and records."""
    log_path: Path
    state_dir: Path
    spawner: Spawner
    stopped: StoppedEngines
    load_slots: LoadSlots
    clock: Clock
    poll_s: float
    chance: Callable[[], float]
    """Random numbers from 0 to 1."""
    turns: Turns = attrs.field(factory=Turns)
    """Of the engines that share a GPU in turns."""
    host_memory: WeightsMemory = attrs.field(factory=WeightsMemory)
    """Where engines that sleep keep their weights."""
    on_disk: DiskWork = at_once
    """Does what waits for the disk."""
    within: within_module.Within = within_module.at_once
    """Does what waits for the disk, and what it returns is needed: gives it up in time."""
    mask: Callable[[str], str] = str
    """Takes secrets out of what an engine printed."""
    shared_memory: Path = attrs.field(factory=lambda: cleanup.SHARED_MEMORY)
    """Where engines leave shared memory."""
    gpu: EngineGpus = attrs.field(factory=EngineGpus)
    group: EngineGroup = ALONE
    rotation: Rotation = attrs.field(factory=lambda: ROTATION)
    secrets: tuple[str, ...] = ()
    """What must not reach the log."""
    errors: FirstErrors = attrs.field(factory=FirstErrors)
    look: Callable[[], None] = lambda: None
    """Has `errors` know what was printed up to now; waits for the disk."""
    ended: Callable[[], None] = lambda: None
    """Told when nothing of a run is left, before the next one."""

    weights_directory: Path = attrs.field(
        default=attrs.Factory(lambda self: _beside(self.directory), takes_self=True)
    )
    """Of the shim that keeps its weights in GPU memory, and of their sockets."""
    weights_log: Path = attrs.field(
        default=attrs.Factory(lambda self: _log_beside(self.log_path), takes_self=True)
    )

    lag: LoopLag = attrs.field(default=attrs.Factory(lambda self: LoopLag(self.clock), True))

    def spec(
        self,
        engine: str,
        run_id: str,
        command: Command,
        *,
        directory: Path,
        log: Path,
        grace_s: float,
    ) -> Spec:
        """Return what a shim is given: what to run, and how it is kept, logged and ended."""
        return {
            "protocol": PROTOCOL,
            "engine": engine,
            "run_id": run_id,
            "argv": list(command.argv),
            "env": dict(command.env),
            "cwd": "/",
            "directory": str(directory),
            "log": str(log),
            "command_hash": command.hash,
            "stop_grace_s": grace_s,
            "tail_bytes": TAIL_BYTES,
            "rotation": self.rotation,
            "secrets": list(self.secrets),
            "marks": list(ALL_MARKS),
        }

    def written(self) -> dict[Path, int]:
        """Return the folders that are written to for this engine, and the bytes needed in each."""
        return {
            self.directory: disk_space.RECORDS_BYTES,
            self.state_dir: disk_space.STATE_BYTES,
            self.log_path.parent: disk_space.LOG_BYTES,
        }
