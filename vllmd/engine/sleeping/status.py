"""How an engine's sleep stands, as everybody else sees it."""

from typing import Any

import attrs


@attrs.frozen
class SleepStatus:
    """What is known of one engine's sleep now. Times are seconds since the epoch."""

    level: int
    """At which it sleeps, or would."""
    asleep_at: float | None = None
    """Since when it sleeps; None if it does not."""
    by: str | None = None
    """Who put it to sleep."""
    settled: bool = False
    """Whether it has fallen asleep, and its GPUs were asked what it gave back."""
    wanted: str | None = None
    """`asleep` or `awake`; None if nobody wants either."""
    wanted_by: str | None = None
    held_bytes: int | None = None
    """GPU memory that it holds while it sleeps; None if it is awake, or nobody knows."""
    freed_bytes: int | None = None
    """What it gave back."""
    idle_s: float | None = None
    """How long no request came; None if it does not serve."""
    after_idle_s: float | None = None
    schedule: str | None = None
    changes_at: float | None = None
    """When the schedule changes next."""
    share: str | None = None
    turn_of: str | None = None
    """The engine that is awake in its place, and that it waits for."""
    refused: str | None = None
    """Why it could not be put to sleep, or woken, when that was tried last."""
    refused_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd status --json` prints it."""
        return attrs.asdict(self)
