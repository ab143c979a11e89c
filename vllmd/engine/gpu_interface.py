"""What a supervisor asks of a GPU reader: the place where one is connected."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from vllmd.engine.liveness.reading import GpuTrace
from vllmd.errors import HeldError


@attrs.frozen
class Shortage:
    """Too little memory is free on a GPU for an engine to start."""

    gpu: str
    missing_bytes: int
    holders: tuple[str, ...]
    """Who holds memory there, most first, for a person."""
    sure: bool
    """Whether vLLM would refuse whatever its own context takes."""

    @property
    def names(self) -> frozenset[str]:
        """The holders without how much each holds, which changes with every look."""
        return frozenset(holder.rpartition(": ")[0] or holder for holder in self.holders)


@attrs.define
class MemoryWait:
    """A start that waits for room. Times are monotonic seconds."""

    shortage: Shortage
    since: float
    limit_s: float
    """How long such a shortage is waited for."""
    until: float
    """When the engine is started all the same."""
    lengthened: bool = False
    """Whether that was put off: once at most, for a shortage that comes and goes is not sure."""
    looks: int = 0
    words: str | None = None
    """What was said of it; None if nothing was yet."""
    requested: bool = False
    """Whether somebody asked for a start meanwhile."""


class EngineGpus:
    """The GPUs of one engine where none are read: nothing is known. A reader answers more."""

    def fine(self) -> bool | None:
        """Tell whether they work: no fault that needs a reset, and the expected driver."""
        return None

    def has_room(self) -> bool | None:
        """Tell whether as much of their memory is free as the engine takes."""
        return None

    def awaited(self) -> bool:
        """Tell whether they are about to be read for the first time."""
        return False

    def shortage(self) -> Shortage | None:
        """Tell what is missing for a start now; None if it fits, or nobody knows."""
        return None

    async def holders(self) -> list[str] | None:
        """Name the processes of the engine that hold their memory although it is gone.

        They are asked for now, so it may take seconds.
        """
        return None

    async def weights_holders(self) -> list[str] | None:
        """Name the processes of its weights that hold memory although they are given up."""
        return None

    def seen(self, since: float) -> Mapping[str, str]:
        """Return what happened since a time (seconds since the epoch).

        Returns: by name, such as `xid_79` and `vram_holders`, each with its sentence: the marks of
            `causes.base.Facts`.
        """
        return {}

    def busy(self) -> bool | None:
        """Tell whether they compute for the engine."""
        return None

    def idle_ranks(self) -> frozenset[int]:
        """Return the data parallel ranks whose GPUs are known to compute nothing."""
        return frozenset()

    def rank_pids(self) -> Mapping[int, frozenset[int]]:
        """Return the processes of each data parallel rank that hold memory there, if known."""
        return {}

    def traces(self, since: float, until: float) -> tuple[GpuTrace, ...] | None:
        """Return what each of them showed between two monotonic times.

        Returns: None where that cannot say what the engine does: a GPU is not read, or part of the
            engine's work is done elsewhere.
        """
        return None

    def memory_bytes(self) -> int | None:
        """Return how much of their memory the engine's processes hold."""
        return None

    async def fresh_memory_bytes(self) -> int | None:
        """Return the same of now: the processes are listed for it, which may take seconds."""
        return None

    def recent(self) -> Sequence[Mapping[str, Any]]:
        """Return what they showed in the last minutes, a snapshot each, for an incident."""
        return ()

    def mismatch(self) -> str | None:
        """Return the sentence that says that the driver was changed, if it was."""
        return None


def refuse_restart(view: EngineGpus, engine: str) -> None:
    """Keep an engine that serves from being ended for a start that would fail.

    Raises: HeldError: the driver was changed under it.
    """
    if mismatch := view.mismatch():
        raise HeldError(
            f"{engine} serves, and would not start again: {mismatch}. Let its requests go "
            f"elsewhere, then reboot; 'vllmd stop {engine}' ends it"
        )
