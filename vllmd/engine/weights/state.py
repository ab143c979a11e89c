"""How the weights of an engine stand, as everybody else sees it."""

import enum
from typing import Any

import attrs


class WeightsState(enum.StrEnum):
    """What becomes of weights that are kept in GPU memory; a closed list."""

    ABSENT = "absent"
    """None are in memory."""
    LOADING = "loading"
    """They are being loaded: not every socket is there yet."""
    READY = "ready"
    """They are in memory: an engine that starts maps them."""
    INCOMPLETE = "incomplete"
    """Those of a GPU are gone: they are loaded anew before the engine starts again."""
    ENDING = "ending"
    """They are being given up."""
    UNRESPONSIVE = "unresponsive"
    """What keeps them does not answer, or does not end: memory may be held, and nobody maps it."""


@attrs.frozen
class WeightsStatus:
    """What is known of one engine's weights now. Times are seconds since the epoch."""

    state: WeightsState
    since: float
    log: str
    ranks: int
    """How many sockets there are to be: one for each GPU, and for each GPU's draft."""
    ranks_ready: int = 0
    pid: int | None = None
    shim_pid: int | None = None
    run_id: str | None = None
    kept: bool = False
    """Whether they stay although the engine was stopped."""
    problem: str | None = None
    """Why they are not in memory, or not to be used; None if nothing is wrong."""

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd status --json` prints it."""
        return {**attrs.asdict(self), "state": str(self.state)}
