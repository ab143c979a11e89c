"""How many lines and bytes of each level. Pure: no I/O."""

from collections import Counter
from itertools import compress
from operator import itemgetter

from vllmd.shim.counted import ALL_LEVELS, HEAD_BYTES, Counts, level_of

_head = itemgetter(slice(HEAD_BYTES))
_BAD = frozenset({"error", "critical"})


class LevelCounts:
    """Lines and bytes by level, and the bad ones themselves.

    Lines of one process begin alike: the beginnings are counted, each kind of them is read once,
    and only lines that are not of the block's usual level are looked at.
    """

    def __init__(self) -> None:
        self.lines = dict.fromkeys(ALL_LEVELS, 0)
        self.bytes = dict.fromkeys(ALL_LEVELS, 0)

    def take(self, counts: Counts) -> None:
        """Add lines that somebody else has counted."""
        for level, (lines, size) in counts.items():
            self.lines[level] += lines
            self.bytes[level] += size

    def add(self, block: bytes) -> list[bytes]:
        """Count the lines of a block.

        Returns: those that are errors.
        """
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        heads = list(map(_head, lines))
        levels = {}
        counted = dict.fromkeys(self.lines, 0)
        for head, count in Counter(heads).items():
            levels[head] = level = level_of(head.decode(errors="replace"))
            counted[level] += count
        usual = max(counted, key=counted.__getitem__)
        unusual = {head for head, level in levels.items() if level != usual}
        left = len(block) + (not block.endswith(b"\n") if block else 0)
        bad = []
        for head, line in compress(
            zip(heads, lines, strict=True), map(unusual.__contains__, heads)
        ):
            self.bytes[levels[head]] += len(line) + 1
            left -= len(line) + 1
            if levels[head] in _BAD:
                bad.append(line)
        self.bytes[usual] += left
        for level, count in counted.items():
            self.lines[level] += count
        if usual in _BAD:
            return [line for head, line in zip(heads, lines, strict=True) if levels[head] in _BAD]
        return bad
