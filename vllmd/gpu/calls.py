"""Which call of NVML is under way: in a small shared file, so that a crash or a hang has a name.

The daemon makes the file (a memfd) and hands it to the reader as an inherited descriptor. It first
holds what the reader is to leave out; the reader takes that, and from then on writes into it which
row of which GPU it asks for. The file outlives the reader. Both sides use this, so it imports the
standard library only.
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

VARIABLE = "VLLMD_GPU_CALLS"
"""The environment variable that tells the reader the descriptor."""
EVENTS = "xid_events"
"""The wait for events: of all GPUs together, so its UUID is empty."""
PROCESSES = "processes"
"""The list of processes that hold memory."""
MIG_MODE = "mig_mode"
"""Whether the GPU is divided into instances."""

_HEAD = 16
_NONE = -1


class RowKey(NamedTuple):
    """What is asked of one GPU: a row's key (`NvmlRow.key`), or one of the names above."""

    uuid: str
    row: str


class NvmlCalls(NamedTuple):
    """What a reader asked for until its end."""

    called: tuple[RowKey, ...]
    """All that it asked for at least once, in the order of the first time."""
    under_way: RowKey | None
    """The call that had not returned; None if it was in none."""


class CallLog:
    """The reader's end."""

    def __init__(self, descriptor: int | None) -> None:
        """Use an inherited descriptor; None is a reader that nobody watches."""
        self._descriptor = descriptor
        self._numbers: dict[RowKey, int] = {}
        self._end = _HEAD
        self.left_out: frozenset[RowKey] = frozenset()
        if descriptor is not None:
            self.left_out = frozenset(_rows(_read(descriptor)))
            os.ftruncate(descriptor, 0)
            self.end()

    @classmethod
    def inherited(cls) -> "CallLog":
        """Return the one that the environment names."""
        named = os.environ.get(VARIABLE)
        return cls(int(named) if named else None)

    def begin(self, uuid: str, row: str) -> None:
        """Say which call comes next."""
        if self._descriptor is None:
            return
        key = RowKey(uuid, row)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._end += os.pwrite(self._descriptor, f"{uuid}\t{row}\n".encode(), self._end)
        os.pwrite(self._descriptor, _head(number), 0)

    def end(self) -> None:
        """Say that it has returned."""
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _head(_NONE), 0)


def make(left_out: Iterable[RowKey]) -> int:
    """Make the file for a new reader, with what it is to leave out; returns the descriptor.

    Raises: OSError: no descriptor is left.
    """
    descriptor = os.memfd_create("vllmd-gpu-calls")
    text = "".join(f"{key.uuid}\t{key.row}\n" for key in sorted(left_out))
    os.pwrite(descriptor, _head(_NONE) + text.encode(), 0)
    return descriptor


def read(descriptor: int) -> NvmlCalls:
    """Return what the reader noted."""
    content = _read(descriptor)
    called = _rows(content)
    number = int(content[:_HEAD] or _NONE)
    return NvmlCalls(called, called[number] if 0 <= number < len(called) else None)


def _head(number: int) -> bytes:
    return f"{number:>{_HEAD - 1}}\n".encode()


def _read(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _rows(content: bytes) -> tuple[RowKey, ...]:
    lines = content[_HEAD:].decode(errors="replace").split("\n")[:-1]
    return tuple(RowKey(*line.split("\t", 1)) for line in lines if "\t" in line)
