"""Is an engine still what was installed? Each file against the hash that its wheel came with."""

import base64
import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import attrs

from vllmd.errors import InstallError

BLOCK = 1 << 20


@attrs.frozen
class ListedFile:
    """One file as its distribution lists it."""

    path: Path
    digest: str
    """As RECORD writes it: ``sha256=`` and base64 without padding."""
    size: int


def listed(folder: Path) -> list[ListedFile]:
    """Return every file with a hash that the distributions of an environment list.

    But for compiled ones, which a few wheels bring: Python writes its own.

    Raises: InstallError: it is no environment.
    """
    sites = list((folder / "lib").glob("python3.*/site-packages"))
    if len(sites) != 1:
        raise InstallError(f"{folder} is no environment: it has no lib/python3.*/site-packages")
    return [
        ListedFile(sites[0] / row[0], row[1], int(row[2] or 0))
        for record in sorted(sites[0].glob("*.dist-info/RECORD"))
        for row in csv.reader(record.read_text().splitlines())
        if len(row) == 3 and row[1].startswith("sha256=") and not row[0].endswith(".pyc")
    ]


def damaged(files: list[ListedFile]) -> Iterator[tuple[int, str | None]]:
    """Read file after file.

    Yields: the bytes that were read, and what is wrong, if anything is.
    """
    for file in files:
        try:
            digest = _digest(file.path)
        except FileNotFoundError:
            yield file.size, f"{file.path} is missing"
        except OSError as error:
            yield file.size, f"{file.path} cannot be read: {error.strerror}"
        else:
            wrong = digest != file.digest.removeprefix("sha256=")
            yield file.size, f"{file.path} was changed" if wrong else None


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            sha.update(block)
    return base64.urlsafe_b64encode(sha.digest()).decode().rstrip("=")
