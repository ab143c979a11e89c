"""The files of an engine's log: their names, their order, and which of them must go.

`NAME.log` is written to. `NAME.log.000017` was rotated, `NAME.log.000017.gz` compressed after that.
`NAME.log.000017.times` says when the lines of number 17 arrived; the file that is written to has
its number too, so that a position in a log outlives its rotation. Numbers only grow: a clock that
is set back changes no order.
"""

import contextlib
import os
import re

_ROTATED = re.compile(r"\.(\d{6,})(\.gz)?$")
_TIMES = re.compile(r"\.(\d{6,})\.times$")
_KEPT = re.compile(r"\.\d{6,}(\.gz|\.times)?$")
_ANY = re.compile(r"\.\d{6,}(\.gz|\.times|\.gz\.new)?$")


def rotated(log: str, number: int) -> str:
    """Return the name that the file of a number has once it is rotated."""
    return f"{log}.{number:06d}"


def times(log: str, number: int) -> str:
    """Return the file that says when the lines of a number arrived."""
    return f"{log}.{number:06d}.times"


def listed(log: str) -> dict[int, list[str]]:
    """Return the rotated files by their numbers, oldest first, those of a number plain first.

    A number has two while one is being compressed: both hold the same.
    """
    found: dict[int, list[str]] = {}
    for path in _beside(log):
        if match := _ROTATED.search(path):
            found.setdefault(int(match[1]), []).append(path)
    return {number: sorted(found[number]) for number in sorted(found)}


def current_number(log: str) -> int:
    """Return the number of the file that is written to."""
    current = 1
    for path in _beside(log):
        if match := _TIMES.search(path):
            current = max(current, int(match[1]))
        elif match := _ROTATED.search(path):
            current = max(current, int(match[1]) + 1)
    return current


def used_bytes(log: str) -> int:
    """Return what all files of a log take on the disk, with the one that is being compressed."""
    return sum(map(_size, [log, *_beside(log, _ANY)]))


def prune(log: str, current: int, *, keep: int, budget_bytes: int) -> list[str]:
    """Remove the oldest files until at most `keep` rotated ones are left, within a budget.

    Returns: what was removed. Raises: nothing; what cannot be removed is tried again next time.
    """
    files = listed(log)
    removed = []
    used = sum(_size(path) for path in _beside(log))
    for number in list(files):
        if len(files) <= keep and used <= budget_bytes:
            break
        for path in [*files.pop(number), times(log, number)]:
            used -= _size(path)
            with contextlib.suppress(OSError):
                os.unlink(path)
                removed.append(path)
    for path in _beside(log):
        match = _TIMES.search(path)
        if match and int(match[1]) not in files and int(match[1]) != current:
            with contextlib.suppress(OSError):
                os.unlink(path)
    return removed


def _beside(log: str, kind: re.Pattern[str] = _KEPT) -> list[str]:
    folder, name = os.path.split(log)
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [f"{folder}/{n}" for n in names if n.startswith(f"{name}.") and kind.search(n)]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
