"""Packages of npm, by a lock file with versions and hashes, in the cache folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def installed(source: Path) -> Path:
    """Return a folder with what the lock file in `source` names; it is fetched once."""
    cache = Path(os.environ.get("VLLMD_CACHE") or Path.home() / ".cache" / "vllmd")
    folder = cache / source.name.replace("_", "-")
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if done.exists() and lock.read_bytes() == (source / lock.name).read_bytes():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    npm = Path(sys.executable).with_name("npm")
    command = [str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=with_our_node())
    return folder


def with_our_node() -> dict[str, str]:
    """Return the environment with our node first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
