"""Files of output that somebody names: plain or compressed, one or several, or standard input."""

import contextlib
import gzip
import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from vllmd.logs.excerpt import excerpt
from vllmd.logs.reader import DAMAGED
from vllmd.shim.files import open_regular
from vllmd.util.units import MIB

MAX_BYTES = 256 * MIB
"""Of a longer output, its end."""
STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_STAMP = re.compile(
    r"(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?"
    r"|(?P<syslog>[A-Z][a-z]{2}\s+\d{1,2} \d\d:\d\d:\d\d)"
    r"|(?P<vllm>\d\d-\d\d \d\d:\d\d:\d\d)"
)
"""Times in a line: those of wrappers, then vLLM's own, which has no year."""
_HEAD = 200
_NUMBERED = re.compile(r"(?P<base>.*?)\.(?P<number>\d+)(?:\.gz)?")


def read_given(paths: Sequence[Path], since: float | None = None) -> list[str]:
    """Return the lines that may say how the last run in these files ended, oldest first.

    Files of one log are put into their order by the numbers that a rotation gave them. With
    `since`, in seconds since the epoch, lines from before are left out.

    Raises: OSError: one cannot be read.
    """
    data = b"".join(map(_read, in_order(paths)))[-MAX_BYTES:]
    if since is not None:
        data = _since(data, since)
    return excerpt(data).decode(errors="replace").splitlines()


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Return files with the oldest first, where their names tell; others stay as they were given.

    vllmd's own numbers grow (`chat.log.000017`), those of logrotate shrink (`chat.log.1`).
    """
    given = list(dict.fromkeys(paths))
    firsts: dict[str, int] = {}
    keys = []
    for index, path in enumerate(given):
        found = _NUMBERED.fullmatch(str(path))
        base = found["base"] if found else str(path).removesuffix(".gz")
        number = found["number"] if found else None
        age = float("inf") if number is None else int(number) * (1 if len(number) > 3 else -1)
        keys.append((firsts.setdefault(base, index), age, index))
    return [given[index] for *_, index in sorted(keys)]


def _read(path: Path) -> bytes:
    if str(path) == STDIN:
        return _ended(_end_of(sys.stdin.buffer))
    with _open(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return _ended(_end_of(file))
        if file.read(2) != _GZIP_MAGIC:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_BYTES))
            return _ended(_last(file))
        file.seek(0)
        return _ended(_inflate(file))


def _open(path: Path) -> BinaryIO:
    """Open a file, or a pipe that a shell made of a command; a FIFO without a writer is empty.

    Raises: UnusableFileError: it is a device, which may have no end; OSError: it cannot be opened.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISFIFO(mode):
        return open_regular(path)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    os.set_blocking(file.fileno(), True)
    return file


def _end_of(stream: BinaryIO) -> bytes:
    """Return the end of a stream of any length, plain or compressed."""
    head = stream.read(MIB)
    if head.startswith(_GZIP_MAGIC):
        return _inflate(io.BytesIO(head + stream.read(MAX_BYTES)))
    return _last(stream, head)


def _inflate(file: BinaryIO) -> bytes:
    """Return the end of what a compressed file holds; of a damaged one, what can be read."""
    with gzip.GzipFile(fileobj=file) as packed:
        return _last(packed)


def _last(stream: BinaryIO | gzip.GzipFile, head: bytes = b"") -> bytes:
    """Return the last bytes of what was read and of what comes; not more is ever kept."""
    data = bytearray(head)
    with contextlib.suppress(*DAMAGED):
        while block := stream.read(MIB):
            data += block
            if len(data) > 2 * MAX_BYTES:
                del data[:-MAX_BYTES]
    return bytes(data[-MAX_BYTES:])


def _ended(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _since(data: bytes, since: float) -> bytes:
    """Return what was printed from a moment on; lines without a time are of the one before.

    Times only grow, as far as an output goes: the place is found by halves.
    """
    year = datetime.fromtimestamp(since).astimezone().year
    low, high = 0, len(data)
    while low < high:
        middle = data.rfind(b"\n", 0, (low + high) // 2) + 1
        start, at = _next_time(data, max(middle, low), high, year)
        if at is None:
            high = max(middle, low)
        elif at < since:
            end = data.find(b"\n", start)
            low = end + 1 if end >= 0 else len(data)
        else:
            high = max(middle, low) if max(middle, low) < high else low
    start, at = _next_time(data, low, len(data), year)
    return data[start:] if at is not None else b""


def _next_time(data: bytes, begin: int, end: int, year: int) -> tuple[int, float | None]:
    """Return the first line that has a time, and that time; None if there is none."""
    at = begin
    while at < end:
        line_end = data.find(b"\n", at)
        line_end = len(data) if line_end < 0 else line_end
        head = data[at : min(line_end, at + _HEAD)].decode(errors="replace")
        if (moment := _moment(head, year)) is not None:
            return at, moment
        at = line_end + 1
    return end, None


def _moment(text: str, year: int) -> float | None:
    found = _STAMP.search(text)
    if found is None:
        return None
    try:
        if found["iso"]:
            zone = (found["zone"] or "").replace("Z", "+00:00")
            return datetime.fromisoformat(found["iso"].replace(" ", "T") + zone).timestamp()
        if found["syslog"]:
            written = " ".join(found["syslog"].split())
            return datetime.strptime(f"{year} {written}", "%Y %b %d %H:%M:%S").timestamp()
        return datetime.strptime(f"{year}-{found['vllm']}", "%Y-%m-%d %H:%M:%S").timestamp()
    except ValueError:
        return None
