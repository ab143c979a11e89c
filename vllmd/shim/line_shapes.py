"""Lines known again by their shape, which is all of them but the values of their digits.

A flood is made of a few shapes. What a line's shape shows is asked once; blocks of known shapes
are counted by level at a small part of what it would cost to look at each line.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from vllmd.shim import counted
from vllmd.shim.counted import HEAD_BYTES, Counts, level_of

MAX_SHAPES, MAX_SHAPE_BYTES = 400, 400
"""Known at once; then they are learnt anew."""
MAX_NEW = 32
"""Of a block with more new ones, no line is like another: nothing is learnt of it."""
MAX_LINES = 4000
MAX_BLOCK_BYTES = 256 * 1024
USUAL, USUAL_SHARE = 3, 0.95
"""If so few shapes are most lines of a piece, they are looked for in whole pieces."""
PIECE_BYTES = 32 * 1024
"""From 30,000 bytes on CPython looks for a text five times as fast. Source: fastsearch.h."""
PATIENCE, MOST_PASSED_OVER = 2, 16
"""After so many blocks in vain, the next ones are not looked at."""
_NEWLINE = b"\n"
_ZEROED = bytes(0x30 if 0x30 <= code <= 0x39 else code for code in range(256))


def zeroed(text: bytes) -> bytes:
    """Return it with a zero for each digit: where `a` is in `b`, `zeroed(a)` is in `zeroed(b)`."""
    return text.translate(_ZEROED)


class LineShapes:
    """Counts whole lines by level if all of them are plain: nothing in them is to be looked at."""

    def __init__(self, is_plain: Callable[[bytes], bool]) -> None:
        """Ask `is_plain` of the shape of a line, without its newline."""
        self._is_plain = is_plain
        self._levels: dict[bytes, str] = {}
        self._usual: list[bytes] = []
        self._in_vain = 0
        self._pass_over = 0

    def count(self, lines: bytes) -> Counts | None:
        """Return lines and bytes by level; None if a line is not plain, or too much is new."""
        if self._pass_over:
            self._pass_over -= 1
            return None
        found = self._count(zeroed(lines)) if len(lines) <= MAX_BLOCK_BYTES else None
        self._in_vain = 0 if found else self._in_vain + 1
        self._pass_over = min(max(0, 4 * (self._in_vain - PATIENCE)), MOST_PASSED_OVER)
        return found

    def _count(self, shapes: bytes) -> Counts | None:
        counts: Counts = {}
        for piece in _pieces(shapes):
            part = (len(piece) >= PIECE_BYTES and self._at_once(piece)) or self._one_by_one(piece)
            if not part:
                return None
            counted.add(counts, part)
        return counts

    def _at_once(self, shapes: bytes) -> Counts | None:
        """Count the usual shapes if the piece is made of them alone.

        Each of them ends where a line ends and none is the end of another, so no two are found in
        one line: if their lengths make up the piece, there is nothing else in it.
        """
        counts: Counts = {}
        left = len(shapes)
        for shape in self._usual:
            if times := shapes.count(shape):
                left -= times * len(shape)
                counted.add(counts, {self._levels[shape[:-1]]: [times, times * len(shape)]})
            if not left:
                return counts
        return None

    def _one_by_one(self, shapes: bytes) -> Counts | None:
        each = shapes.split(_NEWLINE, MAX_LINES)
        if each.pop():
            return None
        found = Counter(each)
        if not self._know(found):
            return None
        counts: Counts = {}
        for shape, times in found.items():
            counted.add(counts, {self._levels[shape]: [times, times * (len(shape) + 1)]})
        if len(shapes) >= PIECE_BYTES:
            self._learn_usual(found)
        return counts

    def _learn_usual(self, found: Counter[bytes]) -> None:
        most = found.most_common(USUAL)
        self._usual = []
        if sum(times for _, times in most) < USUAL_SHARE * found.total():
            return
        for shape, _ in most:
            line = shape + _NEWLINE
            if not any(line.endswith(other) or other.endswith(line) for other in self._usual):
                self._usual.append(line)

    def _know(self, found: Counter[bytes]) -> bool:
        new = [shape for shape in found if shape not in self._levels]
        if len(new) > MAX_NEW:
            return False
        if len(self._levels) + len(new) > MAX_SHAPES:
            self._levels.clear()
            self._usual.clear()
            new = list(found)
        for shape in new:
            if len(shape) > MAX_SHAPE_BYTES or not self._is_plain(shape):
                return False
            self._levels[shape] = level_of(shape[:HEAD_BYTES].decode(errors="replace"))
        return True


def _pieces(lines: bytes) -> Iterator[bytes]:
    """Cut a block at ends of lines into pieces of about `PIECE_BYTES`, none of them shorter."""
    begin = 0
    while len(lines) - begin >= 2 * PIECE_BYTES:
        end = lines.find(_NEWLINE, begin + PIECE_BYTES) + 1
        if not end or len(lines) - end < PIECE_BYTES:
            break
        yield lines[begin:end]
        begin = end
    yield lines[begin:]
