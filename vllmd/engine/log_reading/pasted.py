"""What a paste did to lines, undone: that of a ticket, a chat, a terminal. Pure: no I/O."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from vllmd.engine.log_reading.markdown import LONGEST, unmarked

_OWN = r"\([A-Za-z][\w ]* pid=\d+\) "
_LEVEL = r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)"
_RECORD = re.compile(rf"(?:{_OWN})*{_LEVEL} \d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)? \[?[^\]\s]+\] ")
"""How a line of vLLM's logger begins."""
_BEGINS = re.compile(
    rf"\s*(?:{_OWN}|{_LEVEL}\b|Traceback \(most|File \"|\[(?:rank|pod/|\d{{4}}-)|\d{{4}}-\d\d-\d\d"
    r"|[A-Z][a-z]{2} +\d+ \d\d:|[\w.-]+\s+\|\s|[\w.]+(?:Error|Exception)\b)"
)
"""How a line begins that is not the rest of the one before it."""
_FRAME_BEGINS = re.compile(
    r"\s+(?=File \"[^\"]+\", line \d+, in |(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception): "
    r"|Value error, )"
)
_FRAME = re.compile(r"\s*(?P<frame>File \"[^\"]+\", line \d+, in \S+)(?P<code>.*)$")
_SHORT_FRAME = re.compile(
    r"\s*(?P<file>[\w.-]*/[\w./-]+\.py):(?P<line>\d+)\s+(?:in )?"
    r"(?P<function>[A-Za-z_]\w*)(?:\(\))?$"
)
"""A frame as people shorten it: ``vllm/v1/a.py:7  f``."""
_FEWEST_FRAMES = 2
_FEWEST = 3
"""Lines of exactly the same length, of which each goes on in the next one."""
_NARROWEST = 60
_MOST_LINES = 4000
"""A paste is short: of more lines, none is looked at."""


def unpasted(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines as they were printed: each record on lines of its own, none cut in two."""
    if len(lines) > _MOST_LINES:
        return lines
    lines = [part for line in unmarked(_unindented(lines)) for part in _frames(line)]
    width = _width(lines)
    whole = [*_joined(lines, width)] if width else lines
    if not any(line.count("pid=") > 1 or line.count(" ERROR ") > 1 for line in whole):
        return whole
    return [part for line in whole for part in _records(line)]


def _frames(line: str) -> Iterator[str]:
    """Yield the frames of a traceback that was put on one line, or written in another form."""
    if len(line) > LONGEST:
        yield line
        return
    if (short := _SHORT_FRAME.match(line)) is not None:
        yield f'  File "{short["file"]}", line {short["line"]}, in {short["function"]}'
        return
    if line.count('File "') < _FEWEST_FRAMES or "pid=" in line:
        yield line
        return
    for part in _FRAME_BEGINS.split(line):
        frame = _FRAME.match(part)
        if frame is None:
            yield part.split("```")[0].strip()
        else:
            yield f"  {frame['frame'].strip()}"
            yield f"    {frame['code'].strip()}"


def _unindented(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines without what all of them are indented by: a document's list, or its code."""
    said = [line for line in lines if line.strip()]
    indents = [len(line) - len(line.lstrip(" ")) for line in said]
    indent = min(indents, default=0)
    if not indent or said[0].lstrip().startswith("File ") or not _BEGINS.match(said[0]):
        return lines
    return [line[indent:] for line in lines]


def _width(lines: Sequence[str]) -> int:
    """Return the width at which a terminal cut the lines, 0 if none did."""
    lengths = [len(line.rstrip()) for line in lines]
    widest = max(lengths, default=0)
    if widest < _NARROWEST:
        return 0
    cut: Counter[int] = Counter()
    for number, length in enumerate(lengths[:-1]):
        after = lines[number + 1]
        if length and _RECORD.match(lines[number]) and after.strip() and not _BEGINS.match(after):
            cut[length] += 1
    width, count = cut.most_common(1)[0] if cut else (0, 0)
    longer = sum(length > width for length in lengths)
    return width if count >= _FEWEST and width >= _NARROWEST and not longer else 0


def _joined(lines: Sequence[str], width: int) -> Iterator[str]:
    under_way = ""
    for line in lines:
        piece = line[:width] if len(line) >= width else line
        goes_on = under_way and line.strip() and not _BEGINS.match(line)
        if under_way and not goes_on:
            yield under_way.rstrip()
        under_way = under_way + piece if goes_on else piece
        if len(line) < width:
            yield under_way
            under_way = ""
    if under_way:
        yield under_way.rstrip()


def _records(line: str) -> Iterator[str]:
    """Yield the records that were put on one line: each begins as the first one does."""
    first = _RECORD.search(line)
    if first is None or line.count(first[0]) < (3 if first.start() else 2):
        yield line
        return
    before, *parts = line.split(first[0])
    if not all(part.strip() for part in parts):
        yield line
        return
    if before.strip():
        yield before.rstrip()
    yield from (first[0] + part.rstrip() for part in parts)
