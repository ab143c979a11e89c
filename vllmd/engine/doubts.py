"""What was found about starts that are under way: that they will probably fail, and why.

Told before the engine ends, which may take minutes: by the doctor, by what it has printed already.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus

UNDER_WAY = frozenset({State.STARTING, State.LOADING})


@attrs.frozen
class Doubt:
    """One thing that was found; `check` is what found it, as in `engine.doubted`."""

    check: str
    severity: str
    found: str
    fix: str
    evidence: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd status --json` prints it."""
        return {**attrs.asdict(self), "evidence": list(self.evidence)}


class Doubts:
    """Those of all engines, by who found them: each replaces what it found before."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, tuple[Doubt, ...]]] = {}

    def begin(self, engine: str) -> None:
        """Forget what was found about the start before."""
        self._found.pop(engine, None)

    def tell(self, engine: str, source: str, doubts: Iterable[Doubt]) -> None:
        """Take what one source finds about the start that is under way."""
        self._found.setdefault(engine, {})[source] = tuple(doubts)

    def of(self, engine: EngineStatus) -> tuple[Doubt, ...]:
        """Return what is known of an engine's start; nothing once it serves or has ended."""
        if engine.state not in UNDER_WAY:
            return ()
        found = self._found.get(engine.name, {})
        return tuple(doubt for doubts in found.values() for doubt in doubts)
