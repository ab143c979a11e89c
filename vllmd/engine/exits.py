"""How an engine ended, in words and as a label."""

import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Diagnosis, Facts, Kind, bare
from vllmd.events.engine import EngineExited
from vllmd.shim.protocol import ExitRecord
from vllmd.util.failure_report import FailureReport

SHIM_LOST = "shim_lost"
SPAWN_FAILED = "spawn_failed"
STALLED = "stalled"
LOAD_STALLED = "load_stalled"
GROUP_LOST = "group_lost"
SLEEP_FAILED = "sleep_failed"
WAKE_FAILED = "wake_failed"
WRONG_ANSWERS = "wrong_answers"
OOM_KILL = "oom_kill"
_NOT_KEPT = ("tail", "marks", "first_error")
_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    phase: str | None = None
    """How far it had come, if it was still loading."""
    asleep: bool = False
    """Whether it slept, and nobody asked for the end."""
    marks: Mapping[str, str] = attrs.field(default=_NOTHING, repr=False)
    """What else is known of the end, by name, each with a sentence that is its evidence."""
    first_error: str | None = attrs.field(default=None, repr=False)
    """The root of what was printed, if it was looked into."""
    diagnosis: Diagnosis | None = None
    """Why; None for an end that was asked for, or was not looked into."""
    incident: str | None = None
    """The folder with what could be seen of it."""

    def describe(self) -> str:
        """Say it in a sentence, without a full stop."""
        if self.label == SPAWN_FAILED:
            return f"could not be started: {self.error}"
        if self.label in (STALLED, LOAD_STALLED):
            return f"made no progress and was killed: {self.error}"
        if self.label == GROUP_LOST:
            return f"was ended with its group: {self.error}"
        if self.label == WRONG_ANSWERS:
            return f"gave wrong answers and was ended: {self.error}"
        if self.label in (SLEEP_FAILED, WAKE_FAILED):
            failed = "fell asleep" if self.label == SLEEP_FAILED else "was woken"
            return f"failed when it {failed}, and was killed: {self.error}"
        if self.label == SHIM_LOST:
            text = "ended unseen: its shim was killed"
        elif self.label.startswith("SIG"):
            text = f"ended by {self.label}"
        else:
            text = f"exited with code {self.label}"
        text += " as requested" if self.requested else " unexpectedly"
        if self.phase and not self.requested:
            text += f", while loading ({self.phase})"
        if self.killed:
            text += f"; left behind and killed: {', '.join(self.killed)}"
        return text


def explain(end: Exit, printed: Iterable[str], *, served: bool = False) -> Exit:
    """Return `end` with its diagnosis, if nobody asked for it; `printed` is the run's output.

    `served` if the run is known to have been ready.
    """
    if end.requested:
        return end
    lines = [*printed]
    known = set(lines)
    # the shim's last lines are mostly the log's: said twice, they read like a run that is cut off
    lines += (line for line in end.tail if line not in known) if end.error is None else [end.error]
    facts = Facts(end.label, tuple(lines), end.marks, served)
    found, root = diagnose(facts), facts.reading.root
    return attrs.evolve(end, diagnosis=found, first_error=bare(root.quote) if root else None)


def report_of(end: Exit, engine: str) -> FailureReport:
    """Return what is told of an end that has just been seen; nothing has been done about it yet."""
    what = f"{engine} {end.describe()}."
    return end.diagnosis.report(what) if end.diagnosis else FailureReport(what)


def event_of(end: Exit) -> EngineExited:
    """Return the event by which an end is told."""
    why = end.diagnosis
    return EngineExited(
        code=end.label,
        requested=end.requested,
        text=end.describe(),
        run_id=end.run_id,
        cause=why.cause if why else None,
        kind=str(why.kind) if why else None,
        explanation=why.explanation if why else None,
        advice=why.advice if why else None,
        evidence=why.evidence if why else None,
        phase=end.phase,
        killed=end.killed,
        incident=end.incident,
        last_line=end.tail[-1] if end.tail else end.error,
    )


def recorded(end: Exit, folder: Path | None) -> Exit:
    """Return the end with the folder in which it was recorded."""
    return attrs.evolve(end, incident=str(folder) if folder else None)


def masked(end: Exit, mask: Callable[[str], str]) -> Exit:
    """Return the end without secrets in what it quotes."""
    tail = tuple(map(mask, end.tail))
    return attrs.evolve(end, error=mask(end.error) if end.error else end.error, tail=tail)


def witnessed(end: Exit, marks: Mapping[str, str]) -> Exit:
    """Return the end with what other sources saw of it."""
    return attrs.evolve(end, marks={**end.marks, **marks})


def stalled(end: Exit, label: str, reason: str) -> Exit:
    """Return the end of an engine that was ended as it hung, or answers wrong: a failure."""
    marks = {**end.marks, label: reason}
    return attrs.evolve(end, label=label, requested=False, error=reason, marks=marks)


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
        marks=_oom_marks(record.get("oom_kills", 0)),
    )


def _oom_marks(count: int) -> Mapping[str, str]:
    if count < 1:
        return _NOTHING
    processes = "a process" if count == 1 else f"{count} processes"
    return {OOM_KILL: f"the kernel killed {processes} in its control group for lack of memory"}


def to_json(end: Exit | None) -> dict[str, Any] | None:
    """Return an end as it is shown and kept; the output's tail stays in the log."""
    if end is None:
        return None
    fields = attrs.asdict(end, filter=lambda a, _: a.name not in _NOT_KEPT)
    return {**fields, "text": end.describe()}


def from_json(record: Mapping[str, Any] | None) -> Exit | None:
    """Read what `to_json` wrote.

    Raises: ValueError, TypeError, KeyError, AttributeError: it is something else.
    """
    if record is None:
        return None
    found = record["diagnosis"]
    return Exit(
        label=str(record["label"]),
        requested=bool(record["requested"]),
        at=float(record["at"]),
        run_id=str(record["run_id"]),
        killed=tuple(record["killed"]),
        error=record["error"],
        phase=record["phase"],
        asleep=bool(record.get("asleep", False)),
        diagnosis=_diagnosis(found) if found else None,
        incident=record.get("incident"),
    )


def _diagnosis(found: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(
        cause=str(found["cause"]),
        kind=Kind(found["kind"]),
        explanation=str(found["explanation"]),
        advice=str(found["advice"]),
        evidence=tuple(found["evidence"]),
        perhaps=found.get("perhaps"),
    )


def signal_name(number: int) -> str:
    """Return such as ``SIGKILL``; a number without a name stays a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
