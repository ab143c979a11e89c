"""How an engine that sleeps was put to sleep: kept with its run, for the daemon after this one."""

from collections.abc import Mapping
from typing import Any

import attrs

ANOTHER = "another client"
"""Who put an engine to sleep, or woke it, where vllmd did not."""


@attrs.frozen
class Asleep:
    """One sleep. `at` is seconds since the epoch."""

    level: int
    """1: its weights are in the host's memory; 2: they are gone; 0: it only computes nothing."""
    by: str
    """Who wanted it: a user, `schedule`, `idle`, another engine, or `ANOTHER`."""
    at: float
    held_before_bytes: int | None = None
    """GPU memory that its processes held; None where nobody knows."""
    held_bytes: int | None = None
    """What they still hold; None where nobody knows, or not yet."""
    settled: bool = False
    """Whether vLLM has said that it sleeps, and the GPUs were asked; until then it may not have
    heard of it."""

    @property
    def ours(self) -> bool:
        """Whether vllmd put it to sleep, and so knows what a wake needs."""
        return self.by != ANOTHER

    @property
    def freed_bytes(self) -> int | None:
        """GPU memory that it gave back; None where nobody knows."""
        if self.held_before_bytes is None or self.held_bytes is None:
            return None
        return max(0, self.held_before_bytes - self.held_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written down."""
        return attrs.asdict(self)


def from_json(record: Mapping[str, Any] | None) -> Asleep | None:
    """Read what `to_json` wrote. Raises: KeyError, ValueError, TypeError: it is something else."""
    if record is None:
        return None
    sizes = (record["held_before_bytes"], record["held_bytes"])
    before, held = (None if size is None else int(size) for size in sizes)
    return Asleep(
        int(record["level"]),
        str(record["by"]),
        float(record["at"]),
        before,
        held,
        bool(record["settled"]),
    )
