"""How many lines and bytes of each level. Pure: no I/O."""

from collections import Counter
from operator import itemgetter

from vllmd.logs.lines import LEVELS, NO_LEVEL, level_of

HEAD_BYTES = 48
"""Longer than any prefix of a line up to its level."""

_head = itemgetter(slice(HEAD_BYTES))
_BAD = frozenset({"error", "critical"})


class LevelCounts:
    """Lines and bytes by level, and the bad ones themselves.

    Lines of one process begin alike: the beginnings are counted, each kind of them is read once.
    """

    def __init__(self) -> None:
        self.lines = dict.fromkeys((*LEVELS, NO_LEVEL), 0)
        self.bytes = dict.fromkeys((*LEVELS, NO_LEVEL), 0)

    def add(self, block: bytes) -> list[bytes]:
        """Count the lines of a block.

        Returns: those that are errors.
        """
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        heads = list(map(_head, lines))
        sizes: Counter[bytes] = Counter()
        for head, size in zip(heads, map(len, lines), strict=True):
            sizes[head] += size + 1
        bad = set()
        for head, count in Counter(heads).items():
            level = level_of(head.decode(errors="replace"))
            self.lines[level] += count
            self.bytes[level] += sizes[head]
            if level in _BAD:
                bad.add(head)
        if not bad:
            return []
        return [line for head, line in zip(heads, lines, strict=True) if head in bad]
