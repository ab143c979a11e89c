"""What a supervisor asks of a GPU reader: the place where one is connected.

Every answer may be "not known", which is what all of them are on a host without one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.errors import HeldError

NOTHING_SEEN: Mapping[str, str] = MappingProxyType({})


async def nobody_knows() -> list[str] | None:
    """Say that nobody knows who holds memory."""
    return None


@attrs.frozen
class GpuView:
    """The GPUs of one engine."""

    fine: Callable[[], bool | None] = lambda: None
    """Whether they work: no fault that needs a reset, and the driver that the programs expect."""
    has_room: Callable[[], bool | None] = lambda: None
    """Whether as much of their memory is free as the engine takes."""
    holders: Callable[[], Awaitable[list[str] | None]] = nobody_knows
    """The processes of the engine that hold their memory although it is gone, named for a person:
    asked for now, so it may take seconds."""
    seen: Callable[[float], Mapping[str, str]] = lambda _since: NOTHING_SEEN
    """What happened since a time (seconds since the epoch), by name, each with its sentence: the
    marks of `causes.base.Facts`, such as `xid_79` and `vram_holders`."""
    busy: Callable[[int], bool | None] = lambda _shim_pid: None
    """Whether they compute for the processes below that shim."""
    memory_bytes: Callable[[int], int | None] = lambda _shim_pid: None
    """How much of their memory the processes below that shim hold."""
    recent: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """What they showed in the last minutes, a snapshot each, for an incident's folder."""
    mismatch: Callable[[], str | None] = lambda: None
    """The sentence that says that the driver was changed: what starts now cannot use them."""


def refuse_restart(view: GpuView, engine: str) -> None:
    """Keep an engine that serves from being ended for a start that would fail.

    Raises: HeldError: the driver was changed under it.
    """
    if mismatch := view.mismatch():
        raise HeldError(
            f"{engine} serves, and would not start again: {mismatch}. Let its requests go "
            f"elsewhere, then reboot; 'vllmd stop {engine}' ends it"
        )
