"""The events of the history: what it has lost, and what keeps it from being written."""

import attrs

from vllmd.events.base import TypedEvent


@attrs.frozen(kw_only=True)
class HistorySetAside(TypedEvent):
    """A file that cannot be used was renamed, and a new one begun."""

    name = "history.set_aside"
    level = "error"

    problem: str
    kept: str


@attrs.frozen(kw_only=True)
class HistoryDowngraded(TypedEvent):
    """A newer vllmd wrote the file; what that did to it was undone."""

    name = "history.downgraded"
    level = "warning"

    version: int


@attrs.frozen(kw_only=True)
class HistoryIncomplete(TypedEvent):
    """Events that were written are lost: the disk did not keep them."""

    name = "history.incomplete"
    level = "error"

    missing: int
    after: float | None
    until: float


@attrs.frozen(kw_only=True)
class HistoryInterrupted(TypedEvent):
    """The daemon that wrote the history did not end in order."""

    name = "history.interrupted"
    level = "warning"

    last_event_at: float | None


@attrs.frozen(kw_only=True)
class HistoryFailed(TypedEvent):
    """The history cannot be written."""

    name = "history.failed"
    level = "error"

    problem: str
