"""Are the weights in memory those that an engine would load now?"""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from vllmd.config import preload
from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.context import EngineContext
from vllmd.engine.model_files.base_model import find_folder
from vllmd.engine.weights.contents import Contents, ContentsReader
from vllmd.engine.weights.loaded import Loaded
from vllmd.shim.protocol import RunRecord
from vllmd.util.units import HOUR_S

BLOCKS_LIMIT_S = 60.0
"""A thousand files of a network file system, a MiB of each."""
WHOLE_LIMIT_S = HOUR_S
STEP_LIMIT_S = 60.0
"""A step that takes longer waits for a disk that hangs."""
PROGRAM = "program"
"""What the version of vLLM is told by: an upgrade in place writes its program anew."""


class Freshness:
    """What one engine's model and program are told by, read without holding up anybody."""

    def __init__(self) -> None:
        self._reader = ContentsReader()

    async def contents(
        self,
        engine: EngineConfig,
        command: Command,
        context: EngineContext,
        *,
        whole: bool,
        goes_on: Callable[[], None] = lambda: None,
    ) -> Contents:
        """Return what a start would load now; whoever is cancelled reads no further.

        `goes_on` is told after each step but the last.

        Raises: OSError: it cannot be read; TimeoutError is one.
        """
        limit_s = WHOLE_LIMIT_S if whole else BLOCKS_LIMIT_S
        until = context.clock.monotonic() + limit_s
        reading = self._reader.begin(lambda: _folders(engine, command), whole=whole)
        over = False
        while not over:
            left_s = until - context.clock.monotonic()
            if left_s <= 0:
                raise TimeoutError(errno.ETIMEDOUT, f"not read within {limit_s:g} s", engine.model)
            over = await context.within(engine.model, reading.step, min(left_s, STEP_LIMIT_S))
            if not over:
                goes_on()
        about = await context.within(command.argv[0], Path(command.argv[0]).stat)
        told = str(about.st_size), str(about.st_mtime_ns), str(about.st_ino)
        return {**reading.contents, PROGRAM: told}


def why_stale(run: RunRecord, loaded: Loaded | None, command: Command) -> str | None:
    """Say why weights in memory are not to be used whatever the files hold; None if they may be.

    What is not known is not used: stale weights are worse than a load.
    """
    if run["command_hash"] != command.hash:
        return "the command by which they were loaded is another now"
    if loaded is None or loaded.run_id != run["run_id"]:
        return "it is not known what they were loaded from"
    return None


def _folders(engine: EngineConfig, command: Command) -> Iterator[Path]:
    revision = engine.flags.get("revision")
    for model in (engine.model, preload.draft_model(engine)):
        folder = find_folder(model, command.env, str(revision or "main")) if model else None
        if folder is not None:
            yield folder
