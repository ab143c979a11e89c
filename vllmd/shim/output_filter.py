"""What an engine prints, made fit for a file: whole lines of bounded length, no secrets, one bar.

Colours and titles are removed, every other control character is shown (`\\x1b`): to read the file
with cat or tail moves no cursor and writes to no clipboard.
"""

import re
from collections.abc import Iterable

from vllmd.shim.counted import Counts
from vllmd.shim.line_shapes import LineShapes, zeroed

MASK = b"********"
SHORTEST_SECRET = 6
"""Shorter values are no secrets, and would mask half of every line."""
MAX_LINE_BYTES = 256 * 1024
"""A longer line is cut: each piece is a line of its own, with `CUT` at its end."""
CUT = b" [vllmd] cut here: the line goes on\n"
HOLD_BYTES = 4096
"""How much of a long line is kept back: a secret or a colour may be cut there."""
LONGEST_CHARACTER = 4
"""Most bytes of a character in UTF-8; what is no text may look as if it never ended."""
_BAR_BYTES = 1024
"""A line under way is shortened to its last state when it is longer."""

_ANSI = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    rb"|\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # titles, links
    rb"|[()*+][0-9A-Za-z]|[=>78cDEHMNOZ])"
)
_C0 = tuple(bytes([code]) for code in sorted({*range(32), 127} - {*b"\t\n\r"}))
_C1_FIRST, _C1 = b"\xc2", re.compile(rb"\xc2[\x80-\x9f]")
"""What a terminal obeys: C0 and DEL, and C1 as UTF-8 has it. The first are looked for one by one,
each at the speed of memchr: faster than any other way through a block."""
_TOKEN = rb"\bhf_[A-Za-z0-9]{30,}"
"""A Hugging Face token, known or not."""


class OutputFilter:
    """Takes what comes from a pipe, gives what goes to the file.

    The end of a line that is not complete is kept until it is.
    """

    def __init__(self, secrets: Iterable[str] = (), marks: Iterable[str] | None = None) -> None:
        """Mask `secrets`; count lines that have none of `marks`, if any are given."""
        known = {s.encode() for s in secrets if len(s) >= SHORTEST_SECRET}
        self._marks = (b"hf_", *known)
        longest_first = sorted(known, key=len, reverse=True)
        self._secret = re.compile(b"|".join((*map(re.escape, longest_first), _TOKEN)))
        self._hold = max(HOLD_BYTES, *map(len, self._marks))
        self._rest = b""
        self._shapes = None if marks is None else LineShapes(self._is_plain)
        self._suspects = [*map(zeroed, known), *(zeroed(mark.encode()) for mark in marks or ())]
        self.counted: Counts | None = None
        """What the lines that were given last are, if nothing in them is to be looked at."""
        self.cut_lines = 0
        """How often a line was cut because it was too long."""

    def feed(self, block: bytes) -> bytes:
        """Return the lines that `block` completes, and pieces of a long one, as lines."""
        self.counted = None
        end = block.rfind(b"\n") + 1
        if end == 0:
            self._rest = _last_state(self._rest + block)
            return self._piece() if len(self._rest) > MAX_LINE_BYTES + self._hold else b""
        whole = block if end == len(block) else block[:end]
        if self._rest:
            whole = self._rest + whole
        self._rest = block[end:]
        if self._shapes is not None:
            self.counted = self._shapes.count(whole)
        return whole if self.counted else self._bounded(self._clean(whole))

    def finish(self) -> bytes:
        """Return what is left at the end of the stream, as a line."""
        self.counted = None
        rest, self._rest = self._rest, b""
        return self._bounded(self._clean(rest + b"\n")) if rest else b""

    @property
    def unfinished(self) -> bytes:
        """The line under way as it would be now: a progress bar, mostly."""
        return self._clean(self._rest[-MAX_LINE_BYTES:] + b"\n")[:-1] if self._rest else b""

    def _is_plain(self, shape: bytes) -> bool:
        """Tell whether lines of a shape pass unchanged, and have no mark."""
        return not any(each in shape for each in self._suspects) and self._clean(shape) == shape

    def _clean(self, lines: bytes) -> bytes:
        if b"\x1b" in lines:
            lines = _ANSI.sub(b"", lines)
        if b"\r" in lines:
            lines = _without_returns(lines)
        return self._masked(_visible(lines))

    def _masked(self, text: bytes) -> bytes:
        if any(mark in text for mark in self._marks):
            return self._secret.sub(MASK, text)
        return text

    def _piece(self) -> bytes:
        """Take the beginning of a long line; never the half of a secret."""
        text = _ANSI.sub(b"", self._rest)
        if len(text) <= MAX_LINE_BYTES + self._hold:  # it was long by its colours
            self._rest = text
            return b""
        cut = MAX_LINE_BYTES
        for found in self._secret.finditer(text, max(0, cut - self._hold)):
            if found.start() < cut < found.end():
                cut = found.start()
        least = cut - LONGEST_CHARACTER + 1
        while cut > least and 0x80 <= text[cut] < 0xC0:  # within a character
            cut -= 1
        self._rest = text[cut:]
        self.cut_lines += 1
        return self._bounded(self._clean(text[:cut]) + CUT)

    def _bounded(self, lines: bytes) -> bytes:
        """Cut what is still too long: control characters take more room once they are shown."""
        if len(lines) <= MAX_LINE_BYTES:
            return lines
        kept = []
        for line in lines.splitlines(keepends=True):
            start = 0
            while len(line) - start > MAX_LINE_BYTES + len(CUT):
                kept += [line[start : start + MAX_LINE_BYTES], CUT]
                start += MAX_LINE_BYTES
                self.cut_lines += 1
            kept.append(line[start:])
        return b"".join(kept)


def _visible(lines: bytes) -> bytes:
    """Show control characters that are left, so that none reaches a terminal: `\\x1b`.

    A kind at a time: an object for each that is found would take ten times the block's memory.
    """
    found = {each for each in _C0 if each in lines}
    if _C1_FIRST in lines:
        found.update(each[0] for each in _C1.finditer(lines))
    for each in found:
        lines = lines.replace(each, b"\\x%02x" % each[-1])
    return lines


def _without_returns(lines: bytes) -> bytes:
    """Leave of each line what a terminal shows: what came after its last carriage return."""
    lines = lines.replace(b"\r\n", b"\n")
    if b"\r" not in lines:
        return lines
    return b"\n".join(
        line.rstrip(b"\r").rpartition(b"\r")[2] if b"\r" in line else line
        for line in lines.split(b"\n")
    )


def _last_state(line: bytes) -> bytes:
    """Shorten a line under way to what may still be seen of it."""
    if len(line) < _BAR_BYTES or b"\r" not in line:
        return line
    line = _ANSI.sub(b"", line)
    text = line.rstrip(b"\r")
    returned = b"\r" if len(text) < len(line) else b""
    shown = text.rpartition(b"\r")[2]
    return line if b"\x1b" in shown else shown + returned  # half a colour may be all of it
