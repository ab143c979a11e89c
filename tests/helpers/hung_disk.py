"""Folders whose file system hangs: who asks for a file there waits until a test lets it go on.

What would hold up the event loop is noted in place of waiting: a test fails and does not hang.
"""

import asyncio
import builtins
import io
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CALLS = (
    *("access", "chmod", "link", "listdir", "lstat", "mkdir", "open", "readlink", "remove"),
    *("rename", "replace", "rmdir", "scandir", "stat", "statvfs", "symlink", "truncate", "unlink"),
)
"""Of the module `os`; shutil, glob, os.path and pathlib call these."""


class HungDisk:
    """Some folders, and what asked for their files on an event loop."""

    def __init__(self, *folders: Path) -> None:
        self._folders = tuple(os.fspath(folder) for folder in folders)
        self._answers = threading.Event()
        self._answers.set()
        self.on_loop: dict[str, str] = {}
        """Who asked on the event loop: the call and the lines of vllmd that led to it."""

    def hang(self) -> None:
        """Let nobody go on who asks from now on."""
        self._answers.clear()

    def answer(self) -> None:
        """Let all go on."""
        self._answers.set()

    def has(self, path: object) -> bool:
        """Tell whether a file is on this disk."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        return os.fsdecode(path).startswith(self._folders)

    def asked(self, call: str, path: object) -> None:
        """Wait until the disk answers; on an event loop, note it."""
        if not self.has(path):
            return
        if asyncio._get_running_loop() is None:
            self._answers.wait()
            return
        lines = [
            f"{frame.filename.split('/vllmd/', 1)[1]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_stack()
            if "/vllmd/" in frame.filename and "/tests/" not in frame.filename
        ]
        if lines:
            self.on_loop.setdefault(f"{call} <- {' <- '.join(lines[:-5:-1])}", os.fsdecode(path))  # type: ignore[arg-type]


@contextmanager
def hung_disk(*folders: Path) -> Iterator[HungDisk]:
    """Put folders on a disk that may hang; at first it answers."""
    disk = HungDisk(*folders)

    def asks(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(path: Any = ".", *args: Any, **more: Any) -> Any:
            disk.asked(call, path)
            return real(path, *args, **more)

        return ask

    with pytest.MonkeyPatch.context() as patch:
        for call in CALLS:
            patch.setattr(os, call, asks(call, getattr(os, call)))
        opens = asks("open", io.open)
        patch.setattr(io, "open", opens)
        patch.setattr(builtins, "open", opens)
        try:
            yield disk
        finally:
            disk.answer()
