"""Small JSON files that are whole or not there, whatever happens while they are written."""

import contextlib
import json
import os

from vllmd.shim.files import read_json
from vllmd.shim.protocol import Message


def write_record(path: str, record: object, *, sync: bool = True) -> None:
    """Write `record` to `path` so that a reader sees the old file or the new one, never a part.

    Without `sync` that holds unless the power goes; with it, the new file is there after that too.

    Raises: OSError: the disk is full or the directory is gone; the old file is as it was.
    """
    temporary = f"{path}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(temporary, flags, 0o640)
    try:
        view = memoryview(json.dumps(record).encode())
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    if sync:
        sync_folder(path)


def sync_folder(path: str) -> None:
    """Have the name of a file outlast a power cut; where no folder can be synced, it may not.

    Raises nothing. Source: fsync(2): to sync a file does not sync its entry in the folder.
    """
    with contextlib.suppress(OSError):
        fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_record(path: str) -> Message | None:
    """Read a JSON object from `path`.

    Returns: the object, or None if the file is missing, truncated, garbage or no regular file: what
        such a file said is not known, which is what None says.
    """
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
