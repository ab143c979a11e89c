"""The events of GPUs, of their reader and of their driver."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class GpuReaderFailed(TypedEvent):
    """There are no readings of the GPUs."""

    name = "gpu.reader_failed"
    level = "warning"

    reason: str
    problem: str


@attrs.frozen(kw_only=True)
class GpuReaderRecovered(TypedEvent):
    """There are readings of the GPUs again."""

    name = "gpu.reader_recovered"

    after: str


@attrs.frozen(kw_only=True)
class GpuRowDisabled(TypedEvent):
    """A figure is not read of a GPU any more: asking for it ended or hung the reader."""

    name = "gpu.row_disabled"
    level = "warning"

    uuid: str
    row: str
    reason: str


@attrs.frozen(kw_only=True)
class GpuRowEnabled(TypedEvent):
    """A figure is read again: leaving it out did not help."""

    name = "gpu.row_enabled"

    uuid: str
    row: str


@attrs.frozen(kw_only=True)
class GpuHostMemoryLow(TypedEvent):
    """A host whose GPU shares its memory has almost none left; an engine gives its own back."""

    name = "gpu.host_memory_low"
    level = "error"

    engine: str | None = omitted(None)
    remedy: str
    available_bytes: int
    floor_bytes: int


@attrs.frozen(kw_only=True)
class GpuXidSeen(TypedEvent):
    """A GPU reported an Xid."""

    name = "gpu.xid_seen"
    level = "error"

    gpu: str | None
    uuid: str
    xid: int
    text: str
    action: str


@attrs.frozen(kw_only=True)
class GpuLost(TypedEvent):
    """A GPU does not answer any more."""

    name = "gpu.lost"
    level = "error"

    gpu: str
    uuid: str
    reason: str


@attrs.frozen(kw_only=True)
class GpuFound(TypedEvent):
    """A GPU that was lost answers again."""

    name = "gpu.found"

    gpu: str
    uuid: str
    after: str


@attrs.frozen(kw_only=True)
class GpuDriverChanged(TypedEvent):
    """The driver was changed under what runs."""

    name = "gpu.driver_changed"
    level = "error"

    problem: str
    advice: str


@attrs.frozen(kw_only=True)
class GpuOrphansKilled(TypedEvent):
    """Processes that held GPU memory for nobody were killed, or one could not be."""

    name = "gpu.orphans_killed"
    level = "warning"

    pid: int | None = omitted(None)
    problem: str | None = omitted(None)
    killed: tuple[str, ...] | None = omitted(None)


@attrs.frozen(kw_only=True)
class GpuReleased(TypedEvent):
    """The GPUs are let go of for so long; taken again, if 0."""

    name = "gpu.released"

    seconds: float
