"""How an engine ended, in words and as a label."""

import signal
from collections.abc import Sequence

import attrs

from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Diagnosis, Facts
from vllmd.shim.protocol import ExitRecord

SHIM_LOST = "shim_lost"
SPAWN_FAILED = "spawn_failed"


@attrs.frozen
class Exit:
    """The end of one run. `label` is an exit code, a signal's name, or what came in its place."""

    label: str
    requested: bool
    at: float
    run_id: str
    killed: tuple[str, ...] = ()
    error: str | None = None
    tail: tuple[str, ...] = attrs.field(default=(), repr=False)
    diagnosis: Diagnosis | None = None
    """Why; None for an end that was asked for, or was not looked into."""

    def describe(self) -> str:
        """Say it in a sentence, without a full stop."""
        if self.label == SPAWN_FAILED:
            return f"could not be started: {self.error}"
        if self.label == SHIM_LOST:
            text = "its shim was killed, so how it ended is not known"
        elif self.label.startswith("SIG"):
            text = f"ended by {self.label}"
        else:
            text = f"exited with code {self.label}"
        text += ", as asked" if self.requested else ", unasked"
        if self.killed:
            text += f"; left behind and killed: {', '.join(self.killed)}"
        return text


def explain(end: Exit, printed: Sequence[str]) -> Exit:
    """Return `end` with its diagnosis, if nobody asked for it; `printed` is the run's output."""
    if end.requested:
        return end
    lines = (*printed, *end.tail) if end.error is None else (*printed, end.error)
    return attrs.evolve(end, diagnosis=diagnose(Facts(end.label, lines)))


def from_record(record: ExitRecord) -> Exit:
    """Read what the shim wrote down."""
    if record["error"] is not None:
        label = SPAWN_FAILED
    elif record["signal"] is not None:
        label = signal_name(record["signal"])
    else:
        label = str(record["exit_code"])
    return Exit(
        label=label,
        requested=record["requested"],
        at=record["ended_at"],
        run_id=record["run_id"],
        killed=tuple(record["killed"]),
        error=record["error"],
        tail=tuple(record["tail"]),
    )


def signal_name(number: int) -> str:
    """Return such as ``SIGKILL``; a number without a name stays a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
