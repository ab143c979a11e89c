"""Libraries in C that tests put under real programs."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path


def built(source: Path, name: str, *libraries: str) -> Path:
    """Return a shared library `name`; it is built once for each version of its source.

    Raises: FileNotFoundError: there is no `cc`; CalledProcessError: it does not compile.
    """
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"vllmd-{source.stem}-{os.getuid()}-{digest}"
    made = folder / name
    if not made.exists():
        folder.mkdir(exist_ok=True)
        fresh = folder / f"{os.getpid()}.so"
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(fresh), str(source), *libraries]
        subprocess.run(command, check=True)
        fresh.rename(made)
    return made
