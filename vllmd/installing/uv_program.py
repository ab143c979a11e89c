"""uv, which installs: found, or brought by pip into the folder of the engines, its hash pinned."""

import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

from vllmd.errors import InstallError

PACKAGE = resources.files("vllmd.installing") / "locks"
_HOW = (
    "uv is not installed, and could not be brought: install it (pipx install uv; or "
    "apt install python3-venv, and vllmd brings it), or name it with --uv"
)


def find(prefix: Path, given: str | None = None) -> Path | None:
    """Return a uv: the one that was named, one on PATH, or the one that was brought here.

    Raises: InstallError: the one that was named cannot be run.
    """
    if given is not None:
        named = shutil.which(given)
        if named is None:
            raise InstallError(f"--uv {given!r} is no program that can be run")
        return Path(os.path.abspath(named))
    beside = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    found = shutil.which("uv", path=beside)
    if found:
        return Path(os.path.abspath(found))
    brought = _place(prefix) / "bin" / "uv"
    return brought if os.access(brought, os.X_OK) else None


def bring(prefix: Path, log: Path, wheels: Path | None = None) -> Path:
    """Install uv by pip below the prefix, from the index or a folder with its wheel.

    Raises: InstallError: there is no pip, or it fails.
    """
    place = _place(prefix)
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    lock = str(PACKAGE / "uv.txt")
    arguments = ["install", "--disable-pip-version-check", "--quiet", "--no-deps", *source]
    arguments += ["--only-binary", ":all:", "--require-hashes", "--requirement", lock]
    commands = [
        [sys.executable, "-m", "venv", str(place)],
        [str(place / "bin" / "pip"), *arguments],
    ]
    with log.open("ab") as output:
        for command in commands:
            try:
                done = subprocess.run(command, stdout=output, stderr=output, check=False)
            except OSError as error:
                raise InstallError(f"{_HOW} ({error})") from None
            if done.returncode != 0:
                shutil.rmtree(place, ignore_errors=True)
                raise InstallError(f"{_HOW}; {log} says more")
    return place / "bin" / "uv"


def _place(prefix: Path) -> Path:
    return prefix / ".uv"
