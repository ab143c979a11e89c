"""What a supervisor asks of a GPU reader: the place where one is connected.

Every answer may be "not known", which is what all of them are as long as there is no reader.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

NOTHING_SEEN: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class GpuView:
    """The GPUs of one engine."""

    fine: Callable[[], bool | None] = lambda: None
    """Whether they work: no fault that needs a reset, and the driver that the programs expect."""
    has_room: Callable[[], bool | None] = lambda: None
    """Whether as much of their memory is free as the engine takes."""
    holders: Callable[[], list[str] | None] = lambda: None
    """The processes that hold their memory although the engine is gone, named for a person."""
    seen: Callable[[float], Mapping[str, str]] = lambda _since: NOTHING_SEEN
    """What happened since a time (seconds since the epoch), by name, each with its sentence: the
    marks of `causes.base.Facts`, such as `xid_79` and `vram_holders`."""
    busy: Callable[[int], bool | None] = lambda _shim_pid: None
    """Whether they compute for the processes below that shim."""
    memory_bytes: Callable[[int], int | None] = lambda _shim_pid: None
    """How much of their memory the processes below that shim hold."""
    recent: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """What they showed in the last minutes, a snapshot each, for an incident's folder."""
