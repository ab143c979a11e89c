"""An engine as everybody else sees it: one frozen snapshot."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.engine.exits import Exit
from vllmd.engine.state import State


@attrs.frozen
class EngineStatus:
    """All that is known of one engine now. Times are seconds since the epoch."""

    name: str
    state: State
    since: float
    wanted: bool
    model: str
    served_names: tuple[str, ...]
    url: str
    log: str
    phase: str | None = None
    pid: int | None = None
    shim_pid: int | None = None
    run_id: str | None = None
    started_at: float | None = None
    start_duration_s: float | None = None
    adopted: bool = False
    command_changed: bool = False
    restarts: int = 0
    exits: Mapping[tuple[str, bool], int] = attrs.field(factory=lambda: MappingProxyType({}))
    last_exit: Exit | None = None
    first_failure: Exit | None = None
    """The first of the failures that led here; it may be the last one too."""
    next_start_at: float | None = None
    problem: str | None = None

    @property
    def up(self) -> bool:
        """Whether requests are being served."""
        return self.state is State.READY

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as `vllmd status --json` prints it."""
        fields = attrs.asdict(self, recurse=False)
        fields["state"] = str(self.state)
        fields["up"] = self.up
        fields["served_names"] = list(self.served_names)
        fields["exits"] = [
            {"code": code, "requested": requested, "count": count}
            for (code, requested), count in self.exits.items()
        ]
        fields["last_exit"] = _exit_to_json(self.last_exit)
        fields["first_failure"] = _exit_to_json(self.first_failure)
        return fields


def _exit_to_json(end: Exit | None) -> dict[str, Any] | None:
    if end is None:
        return None
    return {**attrs.asdict(end, filter=lambda a, _: a.name != "tail"), "text": end.describe()}
