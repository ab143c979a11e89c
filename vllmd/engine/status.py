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
        if self.last_exit is not None:
            fields["last_exit"] = {
                **attrs.asdict(self.last_exit, filter=lambda a, _: a.name != "tail"),
                "text": self.last_exit.describe(),
            }
        return fields
