"""A model's place in the hub's cache: blobs by their hashes, and snapshots of links to them.

Source: huggingface_hub: ``models--ORG--NAME/{blobs,refs,snapshots}``, and ``.locks`` beside it.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vllmd.pulling.repository import PullError, RemoteFile, Repository
from vllmd.util.units import GIB, format_bytes

INCOMPLETE = ".incomplete"
SPARE_BYTES = GIB
"""Left free on the disk: others write to it meanwhile."""


class ModelCache:
    """The folder of one model."""

    def __init__(self, hub: Path, model: str) -> None:
        folder = f"models--{model.replace('/', '--')}"
        self.folder = hub / folder
        self._locks = hub / ".locks" / folder

    def blob(self, file: RemoteFile) -> Path:
        """Return where a file's content is, once it is whole."""
        return self.folder / "blobs" / file.name

    def partial(self, file: RemoteFile) -> Path:
        """Return where the part is that has come so far."""
        blob = self.blob(file)
        return blob.with_name(blob.name + INCOMPLETE)

    def snapshot(self, repository: Repository) -> Path:
        """Return the folder that a program reads a commit from."""
        return self.folder / "snapshots" / repository.commit

    def bytes_here(self, file: RemoteFile) -> int:
        """Return how much of a file is here, in bytes; a blob that is not whole comes anew."""
        if self.is_whole(file):
            return file.size
        with contextlib.suppress(OSError):
            return min(self.partial(file).stat().st_size, file.size)
        return 0

    def bytes_of_anybody(self, file: RemoteFile) -> int:
        """Return the same, with the parts that the hub's own client calls by names of its own."""
        parts = self.blob(file).parent.glob(f"{file.name}*{INCOMPLETE}")
        sizes = [self.bytes_here(file)]
        for each in parts:
            with contextlib.suppress(OSError):
                sizes.append(each.stat().st_size)
        return min(max(sizes), file.size)

    def has_parts(self) -> bool:
        """Tell whether a file is being downloaded, or was."""
        return any((self.folder / "blobs").glob(f"*{INCOMPLETE}"))

    def is_whole(self, file: RemoteFile) -> bool:
        """Tell whether a file is here: its name is its hash, and it got that when it was whole."""
        with contextlib.suppress(OSError):
            return self.blob(file).stat().st_size == file.size
        return False

    def refuse_without_room(self, files: list[RemoteFile]) -> None:
        """Raises: PullError: the disk has no room for what is not here yet."""
        missing = sum(file.size - self.bytes_here(file) for file in files)
        place = next(each for each in (self.folder, *self.folder.parents) if each.exists())
        free = shutil.disk_usage(place).free
        if missing and missing + SPARE_BYTES > free:
            raise PullError(
                f"{format_bytes(missing)} are to come, and {place} has {format_bytes(free)} free "
                f"({format_bytes(SPARE_BYTES)} are left to others); make room, or set HF_HOME to a "
                "folder on a larger disk"
            )

    @contextlib.contextmanager
    def locked(self, file: RemoteFile) -> Iterator[None]:
        """Hold the lock by which the hub's own client keeps others from the same file.

        Raises: PullError: another has it.
        """
        self._locks.mkdir(parents=True, exist_ok=True)
        path = self._locks / f"{file.name}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise PullError(
                f"somebody else downloads {file.path} now, an engine or another pull; wait for "
                "that ('vllmd status'), then pull again"
            ) from None
        finally:
            os.close(fd)

    def link(self, repository: Repository, file: RemoteFile) -> None:
        """Let the snapshot of a commit have a file."""
        path = self.snapshot(repository) / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(self.blob(file), path.parent)
        if path.is_symlink() and os.readlink(path) == target:
            return
        if path.is_dir():
            raise PullError(
                f"{path} is a folder, and a file on the hub: remove it, then pull again"
            )
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def name(self, repository: Repository, revision: str) -> None:
        """Let a branch or a tag stand for a commit from now on."""
        if revision == repository.commit:
            return
        path = self.folder / "refs" / revision
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(repository.commit)
        new.rename(path)
