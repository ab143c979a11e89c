"""The folder of a daemon that is drawn: it is read in pictures, and so it is the same each time."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path("/tmp/vllmd-picture")


@contextmanager
def made_folder() -> Iterator[Path]:
    """Make it, and remove it at the end.

    Raises: SystemExit: it is there.
    """
    try:
        FOLDER.mkdir()
    except FileExistsError:
        raise SystemExit(f"{FOLDER} exists: another run? If not, remove it") from None
    try:
        yield FOLDER
    finally:
        shutil.rmtree(FOLDER)
