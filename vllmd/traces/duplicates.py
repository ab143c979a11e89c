"""What came lately, so that what comes twice is counted once. Pure."""

from collections import deque
from collections.abc import Hashable

KEPT = 8192
"""Four times what vLLM's exporter holds: it sends a batch again when no answer came in time."""


class SeenKeys:
    """The last keys, as many as `kept`, the oldest forgotten first.

    Of a key its hash is kept, a quarter of the memory: that a new one has the hash of one of 8,192
    others is to be expected once in 10^14 spans, and nobody can choose it (PYTHONHASHSEED).
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._keys: set[int] = set()
        self._order: deque[int] = deque()

    def add(self, key: Hashable) -> bool:
        """Note a key; tells whether it is new."""
        hashed = hash(key)
        if hashed in self._keys:
            return False
        if len(self._order) >= self._kept:
            self._keys.discard(self._order.popleft())
        self._keys.add(hashed)
        self._order.append(hashed)
        return True

    def __len__(self) -> int:
        return len(self._order)
