"""What an engine prints, made fit for a file: whole lines, no colours, no secrets, one bar.

Works on blocks of many lines: what a block does not contain costs one search for a byte.
"""

import re
from collections.abc import Iterable

MASK = b"********"
SHORTEST_SECRET = 6
"""Shorter values are no secrets, and would mask half of every line."""
MAX_LINE_BYTES = 256 * 1024
"""A longer line is passed on in pieces; its progress bars are made one within a piece only."""
HOLD_BYTES = 4096
"""So much of a long line is kept back: a secret or a colour may be cut there."""
_BAR_BYTES = 1024
"""A line under way is shortened to its last state when it is longer."""

_ANSI = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    rb"|\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # titles, links
    rb"|[()*+][0-9A-Za-z]|[=>78cDEHMNOZ])"
)
_TOKEN = rb"\bhf_[A-Za-z0-9]{30,}"
"""A Hugging Face token, known or not."""


class Normaliser:
    """Takes what comes from a pipe, gives what goes to the file.

    The end of a line that is not complete is kept until it is.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {s.encode() for s in secrets if len(s) >= SHORTEST_SECRET}
        self._marks = (b"hf_", *known)
        longest_first = sorted(known, key=len, reverse=True)
        self._secret = re.compile(b"|".join((*map(re.escape, longest_first), _TOKEN)))
        self._hold = max(HOLD_BYTES, *map(len, self._marks))
        self._rest = b""

    def feed(self, block: bytes) -> bytes:
        """Return the lines that `block` completes, each with its newline."""
        end = block.rfind(b"\n") + 1
        if end == 0:
            self._rest = _last_state(self._rest + block)
            return self._piece() if len(self._rest) > MAX_LINE_BYTES + self._hold else b""
        whole = block if end == len(block) else block[:end]
        if self._rest:
            whole = self._rest + whole
        self._rest = block[end:]
        return self._clean(whole)

    def finish(self) -> bytes:
        """Return what is left at the end of the stream, as a line."""
        rest, self._rest = self._rest, b""
        return self._clean(rest + b"\n") if rest else b""

    @property
    def unfinished(self) -> bytes:
        """The line under way as it would be now: a progress bar, mostly."""
        return self._clean(self._rest[-MAX_LINE_BYTES:] + b"\n")[:-1] if self._rest else b""

    def _clean(self, lines: bytes) -> bytes:
        if b"\x1b" in lines:
            lines = _ANSI.sub(b"", lines)
        if b"\r" in lines:
            lines = _without_returns(lines)
        return self._masked(lines)

    def _masked(self, text: bytes) -> bytes:
        if any(mark in text for mark in self._marks):
            return self._secret.sub(MASK, text)
        return text

    def _piece(self) -> bytes:
        """Take the beginning of a long line; never the half of a secret."""
        text = _ANSI.sub(b"", self._rest)
        cut = len(text) - self._hold
        for found in self._secret.finditer(text, max(0, cut - self._hold)):
            if found.start() < cut < found.end():
                cut = found.start()
        self._rest = text[cut:]
        return self._masked(text[:cut])


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
