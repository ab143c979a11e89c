"""Files read as data: regular ones of bounded size, without waiting for a writer, and JSON in them.

A FIFO, a device or a socket in the place of a file would keep its reader waiting for ever; a deep
nesting ends a parser by its recursion.
"""

import contextlib
import errno
import json
import math
import os
import stat
from typing import Any, BinaryIO

MAX_JSON_BYTES = 64 * 1024 * 1024
"""More than any file of a model or of vllmd's own has: the index of a large model has 10 MB."""
MAX_DEPTH = 64
"""Deeper tables and lists are in no file that means anything to vllmd."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnusableFileError(OSError):
    """What is there is no regular file, or too large; `strerror` says so."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read it.

    Raises: UnusableFileError: it is none; OSError: it cannot be opened.
    """
    refuse_irregular(os.stat(path).st_mode, path)  # to open a device may already do something
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        refuse_irregular(os.fstat(fd).st_mode, path)
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def open_to_append(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to write at its end; it is made if it is not there.

    Raises: UnusableFileError: what is there is none; OSError: it cannot be opened.
    """
    with contextlib.suppress(FileNotFoundError):
        refuse_irregular(os.stat(path).st_mode, path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags, 0o644)
    try:
        refuse_irregular(os.fstat(fd).st_mode, path)
        return os.fdopen(fd, "ab")
    except BaseException:
        os.close(fd)
        raise


def refuse_irregular(mode: int, path: str | os.PathLike[str]) -> None:
    """Refuse what is no regular file.

    Raises: UnusableFileError: saying what it is.
    """
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UnusableFileError(errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return all of a file.

    Raises: UnusableFileError: it is none, or larger; OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(max_bytes + 1) if size <= max_bytes else b""
        if size > max_bytes or len(content) > max_bytes:
            text = (
                f"it has {max(size, len(content))} bytes, more than the {max_bytes} that are read"
            )
            raise UnusableFileError(errno.EFBIG, text, os.fspath(path))
        return content


def parse_json(text: str | bytes) -> Any:
    """Read JSON as its standard has it: numbers are finite; no table or list is too deep in others.

    Raises: ValueError: it is none.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        value = None
        deep = True
    else:
        deep = is_deeper(value, MAX_DEPTH)
    if deep:
        raise ValueError(f"tables and lists are nested deeper than {MAX_DEPTH}")
    return value


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return what a file of JSON says.

    Raises: ValueError: it is none; UnusableFileError, OSError: as `read_regular`.
    """
    return parse_json(read_regular(path, MAX_JSON_BYTES))


def is_deeper(value: Any, depth: int) -> bool:
    """Tell whether tables and lists are nested deeper than so; without recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = [each for each in inner if isinstance(each, dict | list)]
        if not level:
            break
    return bool(level)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that can be worked with")
    return value
