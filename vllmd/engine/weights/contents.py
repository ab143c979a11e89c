"""Are a model's files those that were loaded? By their contents, not by their heads.

vLLM's own fingerprint is that of the heads of safetensors files: another checkpoint of the same
shapes is the same to it, and stale weights would be served. Source: `hash_checkpoint` in vLLM
0.32, vllm/model_executor/model_loader/weight_cache/protocol.py.

What was read once is not read again while a file's inode, size and times stay: `ctime` changes with
every write, and nobody can set it.

It is read in steps, each of which is short: whoever waits can give it up between two of them.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from vllmd.shim.files import open_regular
from vllmd.util.units import KIB, MIB

BLOCK_BYTES = 64 * KIB
BLOCKS = 16
"""Blocks of each file that are read, over all of its length: at most a MiB."""
CHUNK_BYTES = 4 * MIB
STEP_BYTES = 64 * MIB
"""What a step reads at most, and a chunk more: a second of a slow disk."""
FILE_BYTES = 64 * KIB
"""What a file that is not read counts as: to open it takes time, too."""
LOWEST_PRIORITY = 19

Contents = Mapping[str, tuple[str, ...]]
"""By the file's path: what it is told by, as text."""
_Identity = tuple[int, int, int, int, int]


class ContentsReader:
    """Reads what files hold; it remembers what it read of files that did not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], tuple[_Identity, str]] = {}

    def begin(self, folders: Callable[[], Iterable[Path]], *, whole: bool) -> "ContentsReading":
        """Begin to read the files of some folders, those that links lead to.

        By blocks, a file's times and its inode count too: two files that differ between the blocks
        would be the same else. With `whole`, all bytes are read, and they alone count.
        """
        reading = ContentsReading()
        reading.work = self._read(folders, whole, reading.contents)
        return reading

    def _read(
        self, folders: Callable[[], Iterable[Path]], whole: bool, found: dict[str, tuple[str, ...]]
    ) -> Iterator[int]:
        for folder in folders():
            for path in sorted(each for each in folder.iterdir() if each.is_file()):
                yield from self._file(path, whole, found)

    def _file(self, path: Path, whole: bool, found: dict[str, tuple[str, ...]]) -> Iterator[int]:
        with open_regular(path) as file:
            about = os.fstat(file.fileno())
            identity = (about.st_dev, about.st_ino, about.st_size, *_times(about))
            known = self._known.get((str(path), whole))
            if known is None or known[0] != identity:
                digest = hashlib.sha256()
                for block in _whole(file) if whole else _blocks(file, about.st_size):
                    digest.update(block)
                    yield len(block)
                known = self._known[str(path), whole] = identity, digest.hexdigest()
        size = str(about.st_size)
        told = (str(about.st_mtime_ns), str(about.st_ino)) if not whole else ()
        found[str(path)] = size, *told, known[1]
        yield FILE_BYTES


@attrs.define
class ContentsReading:
    """One reading: `step` until it returns True, then `contents` are whole."""

    contents: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    work: Iterator[int] = attrs.field(factory=lambda: iter(()))

    def step(self) -> bool:
        """Read on, `STEP_BYTES` at most, with the lowest priority; tell whether that was all.

        Raises: OSError: a file cannot be read.
        """
        yield_to_others()
        left = STEP_BYTES
        for size in self.work:
            left -= size
            if left <= 0:
                return False
        return True


def _times(about: os.stat_result) -> tuple[int, int]:
    return about.st_mtime_ns, about.st_ctime_ns


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield blocks at equal distances, the first and the last of the file among them."""
    last = max(0, size - BLOCK_BYTES)
    for number in range(BLOCKS):
        file.seek(last * number // (BLOCKS - 1))
        yield file.read(BLOCK_BYTES)


def _whole(file: BinaryIO) -> Iterator[bytes]:
    """Yield all of it, a chunk at a time."""
    while block := file.read(CHUNK_BYTES):
        yield block


def yield_to_others() -> None:
    """Give the thread that calls this the lowest priority, for good, if it has but this work.

    Source: sched(7), setpriority(2): on Linux the priority is a thread's.
    """
    if threading.current_thread() is threading.main_thread():
        return
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


def difference(before: Contents, now: Contents) -> str | None:
    """Say what is other than it was, as the end of a sentence; None if all is the same."""
    changed = sorted(path for path in before.keys() & now.keys() if before[path] != now[path])
    for what, paths in (
        ("changed", changed),
        ("is new", sorted(now.keys() - before.keys())),
        ("is gone", sorted(before.keys() - now.keys())),
    ):
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            return f"{paths[0]}{more} {what}"
    return None
