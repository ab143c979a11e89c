"""Take a vLLM that somebody else installed among the engines: linked, asked, never changed."""

import os
import time
from pathlib import Path

from vllmd.errors import InstallError
from vllmd.installing.command_runner import CommandRunner
from vllmd.installing.layout import NAME, InstalledEngines, InstallRecord
from vllmd.installing.probing import QUIET, ask, record_of

PENDING = "0.adopting"


def adopt(engines: InstalledEngines, path: Path, name: str | None = None) -> InstallRecord:
    """Link an environment and keep what it says of itself.

    `path` is its folder, or its `vllm`; the name is its version where none is given.

    Raises: InstallError: there is no vLLM, it cannot be imported, or the name is taken.
    """
    folder = environment_of(path)
    if name is not None and not NAME.fullmatch(name):
        raise InstallError(f"{name!r} is no name for an engine: a version, such as 0.32.0+ours")
    with engines.locked():
        log = engines.beside(PENDING, ".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        runner = CommandRunner(log, {**os.environ, **QUIET})
        found = ask(runner, str(folder / "bin" / "python"), engines, PENDING)
        chosen = name or str(found["version"])
        link = engines.folder(chosen)
        if os.path.lexists(link) and link.resolve() != folder:
            raise InstallError(
                f"{link} is there already: give another name, such as --name {chosen}+adopted"
            )
        if not os.path.lexists(link):
            link.symlink_to(folder)
        for suffix in (".log", ".flags.json"):
            engines.beside(PENDING, suffix).replace(engines.beside(chosen, suffix))
        made = record_of(chosen, folder / "bin" / "vllm", found, time.time(), adopted=True)
        engines.write(made)
    return made


def environment_of(path: Path) -> Path:
    """Return the environment that a `vllm` or a folder is of.

    Raises: InstallError: it is none.
    """
    real = Path(os.path.abspath(path.expanduser()))
    folder = real.parents[1] if real.is_file() and len(real.parents) > 1 else real
    folder = folder.resolve()
    for needed in ("bin/vllm", "bin/python"):
        if not os.access(folder / needed, os.X_OK):
            raise InstallError(
                f"{path} is no environment with a vLLM: {folder / needed} cannot be run; give the "
                "folder that has bin/vllm and bin/python"
            )
    return folder
