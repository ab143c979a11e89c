"""What of a huge output may say how its last run ended. Pure: no I/O."""

from vllmd.logs import milestones
from vllmd.util.units import KIB, MIB

WHOLE_BYTES = 4 * MIB
"""An output up to this size is looked at whole."""
HEAD_BYTES, TAIL_BYTES = 512 * KIB, 1 * MIB
BEFORE_BYTES, AFTER_BYTES = 128 * KIB, 256 * KIB
_BANNERS = tuple(map(str.encode, milestones.BANNERS))
"""The first of these that there is counts."""
_BANNER_BYTES = 8 * KIB
"""Of lines that a run prints before its banner."""
_READY = milestones.READY.encode()
_FATAL = tuple(map(str.encode, (*milestones.FATAL, "failed to start", "hit an exception")))
"""What is said when an engine ends: what comes before it is of interest, and a while after it."""


def excerpt(data: bytes) -> bytes:
    """Return whole lines of an output: the start of its last run, its first fatal lines, its end.

    An output of hundreds of megabytes is mostly requests that were served, or that failed after
    what ended the engine; reading each of these lines would take a minute.
    """
    begin = _last_banner(data)
    if len(data) - begin <= WHOLE_BYTES:
        return data[_line_start(data, begin) :]
    spans = [(begin, begin + HEAD_BYTES), (len(data) - TAIL_BYTES, len(data))]
    ready = data.find(_READY, begin)
    if ready >= 0:
        spans.append((ready - KIB, ready + KIB))
    for mark in _FATAL:
        at = data.find(mark, max(begin, ready))
        if at >= 0:
            spans.append((max(begin, at - BEFORE_BYTES), at + AFTER_BYTES))
    return b"".join(
        data[_line_start(data, start) : _line_end(data, end)] for start, end in _merged(spans)
    )


def _last_banner(data: bytes) -> int:
    for mark in _BANNERS:
        at = data.rfind(mark)
        if at >= 0:
            return max(0, at - _BANNER_BYTES)
    return 0


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + KIB:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _line_start(data: bytes, at: int) -> int:
    return data.rfind(b"\n", 0, max(0, at)) + 1


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    return end + 1 if end >= 0 else len(data)
