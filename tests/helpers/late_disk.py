"""A disk that does not say in time what is in a state file."""

import errno
from collections.abc import Callable
from typing import TypeVar

import pytest

from vllmd.util import state_file
from vllmd.util.deadline import READ_S, call_within

T = TypeVar("T")


class LateDisk:
    """Every state file is read late while it is `late`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, late: bool = True) -> None:
        self.late = late
        monkeypatch.setattr(state_file, "call_within", self._read)

    def _read(self, path: str, work: Callable[[], T], limit_s: float = READ_S) -> T:
        if self.late:
            raise TimeoutError(errno.ETIMEDOUT, "no answer", path)
        return call_within(path, work, limit_s)
