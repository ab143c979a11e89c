"""What a daemon knows of a run, kept beside `run.json`: the next daemon goes on with it.

The file is written when something changes, never at each look. It is believed for the run and the
boot that it names, and only together with a look at the engine itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd.config.model import EngineConfig
from vllmd.engine.process import asleep
from vllmd.engine.process.asleep import Asleep
from vllmd.engine.state_machine import State
from vllmd.shim import proc
from vllmd.util.clock import Clock, Moment
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.read_once import ReadOnce
from vllmd.util.redact import masked
from vllmd.util.state_file import StateFile
from vllmd.util.within import Within

NAME = "state.json"


@attrs.frozen
class Endpoint:
    """Where a run answers and what it serves, as it was started."""

    host: str
    port: int
    model: str
    served_model_name: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: EngineConfig) -> "Endpoint":
        """Return how an engine is reached that is started with these settings."""
        return cls(engine.host, engine.port, _shown(engine), engine.served_model_name)

    def settings(self, engine: EngineConfig) -> EngineConfig:
        """Return other settings of the engine, with what is true of the run that goes on."""
        reached = attrs.asdict(self)
        if self.model == _shown(engine):
            del reached["model"]
        return attrs.evolve(engine, **reached)


def _shown(engine: EngineConfig) -> str:
    """Return the model as it may be written down: an address may have a password in it."""
    return str(masked("model", engine.model))


@attrs.frozen
class Run:
    """One run of an engine."""

    run_id: str
    command_hash: str
    reached: Endpoint
    place: str | None = None
    """The group as a part of which it was started, and its rank; None of one that runs alone."""

    @classmethod
    def of(
        cls, run_id: str, command_hash: str, engine: EngineConfig, place: str | None = None
    ) -> "Run":
        """Return a run of an engine with the settings that it has now."""
        return cls(run_id, command_hash, Endpoint.of(engine), place)


@attrs.frozen
class RunState:
    """How a run stands. Single times are monotonic seconds of this boot."""

    run: Run
    state: State
    since: Moment
    ready_at: float | None = None
    """When it was ready first; None if it was not yet."""
    start_duration_s: float | None = None
    phase: str | None = None
    phases: Mapping[str, float] = attrs.field(factory=dict)
    """When each phase of its start was reached."""
    sizes: Mapping[str, int] = attrs.field(factory=dict)
    asleep: Asleep | None = None
    """How it was put to sleep; None if it was not, or nobody knows."""
    wrong: str | None = None
    """Why it is to take no requests, by a probe of its answers."""


class RunStates:
    """The file of one engine; without a `path` nothing is kept."""

    def __init__(self, path: Path | None = None, do: DiskWork = at_once) -> None:
        """Name the file; `do` is who writes it, and waits for the disk."""
        self._file = None
        if path is not None:
            self._file = StateFile(
                path,
                if_unusable="the engine is asked instead",
                if_not_written="a daemon that starts now has to find out how the engine stands",
                do=do,
                sync=False,
                folder_mode=0o700,  # before its first shim there is none
                replaces=True,  # it is saved for the run that there is
            )
        self._kept = ReadOnce(self._file, _from_json)

    async def read(self, within: Within) -> None:
        """Read what an earlier daemon left, off the event loop, so that `load` need not."""
        await self._kept.read(within)

    def load(self, clock: Clock) -> RunState | None:
        """Return what is kept; None if there is nothing, it is not of this boot, or not read.

        Then the engine is asked; that a probe found it wrong, its prober knows too. What was not
        read before is read here, which waits for the disk.
        """
        self._kept.read_here()
        found = self._kept.value
        return found if found is not None and found.since.monotonic <= clock.monotonic() else None

    def save(self, state: RunState) -> None:
        """Keep it; where the disk refuses, it costs the next daemon a look."""
        self._kept.know(state)
        if self._file is not None:
            self._file.save({**_to_json(state), "boot_id": proc.boot_id()})

    async def saved(self, seconds: float) -> None:
        """Wait until it is on the disk, or refused by it; but not longer."""
        if self._file is not None:
            await self._file.saved(seconds)

    def forget(self) -> None:
        """Remove the file: the run is over."""
        self._kept.know(None)
        if self._file is not None:
            self._file.forget()


def _to_json(state: RunState) -> dict[str, Any]:
    return {**attrs.asdict(state), "state": str(state.state)}


def _from_json(record: Mapping[str, Any]) -> RunState | None:
    if record["boot_id"] != proc.boot_id():
        return None
    run, since, ready_at = record["run"], record["since"], record["ready_at"]
    took, reached = record["start_duration_s"], run["reached"]
    return RunState(
        Run(
            str(run["run_id"]),
            str(run["command_hash"]),
            Endpoint(
                str(reached["host"]),
                int(reached["port"]),
                str(reached["model"]),
                tuple(str(name) for name in reached["served_model_name"]),
            ),
            None if (place := run.get("place")) is None else str(place),  # nor of this
        ),
        State(record["state"]),
        Moment(float(since["monotonic"]), float(since["wall"])),
        None if ready_at is None else float(ready_at),
        None if took is None else float(took),
        None if record["phase"] is None else str(record["phase"]),
        {str(name): float(at) for name, at in record["phases"].items()},
        {str(name): int(value) for name, value in record["sizes"].items()},
        asleep.from_json(record.get("asleep")),  # of an older version there is none
        None if (wrong := record.get("wrong")) is None else str(wrong),
    )
