"""What came lately, so that what comes twice is counted once. Pure."""

from collections import deque
from collections.abc import Hashable

KEPT = 8192
"""Four times what vLLM's exporter holds: it sends a batch again when no answer came in time."""


class SeenKeys:
    """The last keys, as many as `kept`, the oldest forgotten first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._keys: set[Hashable] = set()
        self._order: deque[Hashable] = deque()

    def add(self, key: Hashable) -> bool:
        """Note a key; tells whether it is new."""
        if key in self._keys:
            return False
        if len(self._order) >= self._kept:
            self._keys.discard(self._order.popleft())
        self._keys.add(key)
        self._order.append(key)
        return True

    def __len__(self) -> int:
        return len(self._order)
