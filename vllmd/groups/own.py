"""What a part of a group knows of its own engine, and tells of it."""

import asyncio
from typing import Protocol

import attrs

from vllmd.engine.process.run_state import Run
from vllmd.engine.status import EngineStatus


class OwnEngine(Protocol):
    """What a part asks of the supervisor of its own engine."""

    @property
    def looked(self) -> asyncio.Event:
        """Set once it is known whether the engine runs."""
        ...

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        ...

    @property
    def run_now(self) -> Run | None:
        """What runs."""
        ...

    @property
    def is_wanted(self) -> bool:
        """Whether it is to run."""
        ...

    @property
    def has_served(self) -> bool:
        """Whether its run was ready."""
        ...

    @property
    def gpus_busy(self) -> bool | None:
        """Whether its GPUs compute for it; None if that is not known."""
        ...

    @property
    def idle_ranks(self) -> frozenset[int]:
        """The data parallel ranks whose GPUs are known to compute nothing."""
        ...

    def start(self) -> None:
        """Want it to run."""
        ...

    def restart(self) -> None:
        """Want it to end and to run again."""
        ...


@attrs.frozen
class Identity:
    """What a part says of itself that others compare."""

    command_hash: str
    vllm: str | None = None
