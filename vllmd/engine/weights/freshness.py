"""Are the weights in memory those that an engine would load now?"""

from collections.abc import Iterator
from pathlib import Path

from vllmd.config import preload
from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.context import EngineContext
from vllmd.engine.model_files.base_model import find_folder
from vllmd.engine.weights.contents import Contents, ContentsReader, difference
from vllmd.engine.weights.loaded import Loaded
from vllmd.shim.protocol import RunRecord
from vllmd.util.units import HOUR_S

BLOCKS_LIMIT_S = 60.0
"""A thousand files of a network file system, a MiB of each."""
WHOLE_LIMIT_S = HOUR_S
PROGRAM = "program"
"""What the version of vLLM is told by: an upgrade in place writes its program anew."""


class Freshness:
    """What one engine's model and program are told by, read without holding up anybody."""

    def __init__(self) -> None:
        self._reader = ContentsReader()

    async def contents(
        self, engine: EngineConfig, command: Command, context: EngineContext, *, whole: bool
    ) -> Contents:
        """Return what a start would load now.

        Raises: OSError: it cannot be read; TimeoutError is one.
        """
        limit_s = WHOLE_LIMIT_S if whole else BLOCKS_LIMIT_S

        def read() -> Contents:
            folders = list(_folders(engine, command))
            found = dict(self._reader.read(folders, whole=whole))
            about = Path(command.argv[0]).stat()
            found[PROGRAM] = str(about.st_size), str(about.st_mtime_ns), str(about.st_ino)
            return found

        return await context.within(engine.model, read, limit_s)

    async def why_stale(
        self,
        run: RunRecord,
        loaded: Loaded | None,
        engine: EngineConfig,
        command: Command,
        context: EngineContext,
    ) -> str | None:
        """Say why weights in memory are not to be used, as the end of a sentence; None if they are.

        What cannot be compared is not used: stale weights are worse than a load.
        """
        if run["command_hash"] != command.hash:
            return "the command by which they were loaded is another now"
        if loaded is None or loaded.run_id != run["run_id"]:
            return "it is not known what they were loaded from"
        try:
            now = await self.contents(engine, command, context, whole=loaded.whole)
        except OSError as error:
            return f"the model's files cannot be compared: {error}"
        return difference(loaded.contents, now)


def _folders(engine: EngineConfig, command: Command) -> Iterator[Path]:
    revision = engine.flags.get("revision")
    for model in (engine.model, preload.draft_model(engine)):
        folder = find_folder(model, command.env, str(revision or "main")) if model else None
        if folder is not None:
            yield folder
