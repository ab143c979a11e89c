"""What the files of an engine's model are told by: those that its answers depend on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.model_files.base_model import find_folder
from vllmd.engine.weights.contents import Contents, ContentsReader
from vllmd.util.within import run_within

LIMIT_S = 60.0
"""For a step, of 64 MiB at most; one that takes longer waits for a disk that hangs."""
STEPS = 1000
_OTHERS = (".md", ".txt.sha256", ".jinja", ".png", ".gitattributes", ".gitignore")
"""Names of files without an effect on what a prompt is answered."""
_CODE, TRUSTS = ".py", "trust-remote-code"
"""Of a model; only with this flag vLLM runs it."""


class ModelFiles:
    """Those of one engine; what did not change is not read again."""

    def __init__(self) -> None:
        self._reader = ContentsReader()

    async def digest(self, engine: EngineConfig, command: Command) -> str | None:
        """Return a digest of the files' sizes and of blocks of them; None if they are not known.

        Times and inodes do not count: the same files may be copied anew.
        """
        reading = self._reader.begin(lambda: _folders(engine, command), whole=False)
        try:
            for _ in range(STEPS):
                if await run_within(engine.model, reading.step, LIMIT_S):
                    code = engine.flags.get(TRUSTS) is True
                    return _digest(reading.contents, _OTHERS if code else (*_OTHERS, _CODE))
        except OSError:
            return None
        return None


def _folders(engine: EngineConfig, command: Command) -> Iterator[Path]:
    revision = str(engine.flags.get("revision") or "main")
    folder = find_folder(engine.model, command.env, revision)
    if folder is not None:
        yield folder
    tokenizer = engine.flags.get("tokenizer")
    if isinstance(tokenizer, str) and (other := find_folder(tokenizer, command.env)) is not None:
        yield other


def _digest(contents: Contents, others: tuple[str, ...]) -> str | None:
    told = sorted(
        (Path(path).name, parts[0], parts[-1])
        for path, parts in contents.items()
        if not path.endswith(others)
    )
    return hashlib.sha256(repr(told).encode()).hexdigest() if told else None
