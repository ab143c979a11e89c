"""What is remembered of GPUs while the host is up: one small file, forgotten at the next boot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd.gpu.growth import Baseline
from vllmd.shim.proc import boot_id
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.late_state import LateState
from vllmd.util.state_file import StateFile

MAX_PROCESSES = 512

Process = tuple[int, int]
"""A process id and the clock tick in which it began: ids are used again."""


@attrs.define
class GpuState:
    """What is remembered."""

    processes: dict[Process, str] = attrs.field(factory=dict)
    """Processes of engines that held GPU memory, with the engine's name."""
    sessions: dict[int, str] = attrs.field(factory=dict)
    """Sessions that engines were started in."""
    leaders: dict[int, int] = attrs.field(factory=dict)
    """The clock tick in which the first process of each session began: ids are used again."""
    baselines: dict[str, Baseline] = attrs.field(factory=dict)
    """From where the growth of each engine counts."""
    xids: dict[tuple[str, int], tuple[int, float]] = attrs.field(factory=dict)
    """By UUID and number: how often, and when last, in seconds since the epoch."""
    indices: dict[str, int] = attrs.field(factory=dict)
    """The index that each UUID was first seen with."""
    held: dict[str, tuple[str, tuple[str, ...]]] = attrs.field(factory=dict)
    """By engine: the hash of its command, and the UUIDs of the GPUs that it had memory of, when it
    was last ready."""
    lost: dict[str, tuple[float, str]] = attrs.field(factory=dict)
    """By the UUID of a GPU that does not answer: since when, in seconds since the epoch, and why.
    So the next daemon does not tell it once more."""
    mismatch: str | None = None
    """The sentence about a driver that was changed: the next daemon knows it from the start."""

    def take_up(self, earlier: "GpuState") -> None:
        """Go on with what an earlier daemon noted since the boot, read late."""
        for process, engine in earlier.processes.items():
            self.processes.setdefault(process, engine)
        for session, engine in earlier.sessions.items():
            if session not in self.sessions:
                self.sessions[session] = engine
                if session in earlier.leaders:
                    self.leaders[session] = earlier.leaders[session]
        for engine, base in earlier.baselines.items():
            if (now := self.baselines.get(engine)) is None or now.run_id == base.run_id:
                self.baselines[engine] = base
        for key, (count, at) in earlier.xids.items():
            seen, last = self.xids.get(key, (0, 0.0))
            self.xids[key] = seen + count, max(last, at)
        self.indices.update(earlier.indices)
        self.held = {**earlier.held, **self.held}
        self.lost.update(earlier.lost)  # since then, and told then


class GpuStateFile:
    """The file."""

    def __init__(self, path: Path, do: DiskWork = at_once) -> None:
        """Name the file; `do` is who writes it, and waits for the disk."""
        self._file = StateFile(
            path,
            if_unusable="orphans of earlier runs may be taken for foreign processes",
            if_not_written="orphans may be taken for foreign processes by the next daemon",
            do=do,
        )
        self._late = LateState(self._file, _from_json, do)
        self._written: dict[str, Any] = {}

    def load(self) -> GpuState:
        """Return what was noted since the boot."""
        return self._late.load() or GpuState()

    @property
    def late(self) -> str | None:
        """Why it was not read yet; None if it was."""
        return self._late.problem

    def save(self, state: GpuState) -> None:
        """Write down what has changed, with what was read late."""
        self._late.ask_again()
        if (earlier := self._late.take()) is not None:
            state.take_up(earlier)
        if self.late is not None:
            return
        while len(state.processes) > MAX_PROCESSES:
            state.processes.pop(next(iter(state.processes)))
        record = {
            "boot": boot_id(),
            "processes": [[p, s, e] for (p, s), e in state.processes.items()],
            "sessions": [[s, e] for s, e in state.sessions.items()],
            "leaders": [[s, began] for s, began in state.leaders.items()],
            "baselines": [[e, b.run_id, b.bytes] for e, b in state.baselines.items()],
            "settling": {e: [b.most_running, b.worked_s] for e, b in state.baselines.items()},
            "xids": [[u, x, n, at] for (u, x), (n, at) in state.xids.items()],
            "indices": dict(state.indices),
            "held": {e: [command, list(uuids)] for e, (command, uuids) in state.held.items()},
            "lost": {u: [since, why] for u, (since, why) in state.lost.items()},
            "mismatch": state.mismatch,
        }
        if record != self._written or self._file.problem is not None:
            self._written = record
            self._file.save(record)


def _from_json(record: Mapping[str, Any]) -> GpuState:
    if record["boot"] != boot_id():
        return GpuState()
    return GpuState(
        processes={(int(p), int(s)): str(e) for p, s, e in record["processes"]},
        sessions={int(s): str(e) for s, e in record["sessions"]},
        leaders={int(s): int(began) for s, began in record.get("leaders", ())},
        baselines={
            str(e): Baseline(str(r), int(b), *_settling(record, e))
            for e, r, b in record["baselines"]
        },
        xids={(str(u), int(x)): (int(n), float(at)) for u, x, n, at in record["xids"]},
        indices={str(u): int(i) for u, i in record["indices"].items()},
        held={
            str(e): (str(command), tuple(map(str, uuids)))
            for e, (command, uuids) in record.get("held", {}).items()
        },
        lost={
            str(u): (float(since), str(why)) for u, (since, why) in record.get("lost", {}).items()
        },
        mismatch=record["mismatch"],
    )


def _settling(record: Mapping[str, Any], engine: str) -> tuple[int, float]:
    """Return what an older version did not keep."""
    most, worked_s = record.get("settling", {}).get(engine, (0, 0.0))
    return int(most), float(worked_s)
