"""Every event of the daemon's log, handed on to those who keep it or send it."""

import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import attrs

BACKLOG = 256
"""Events that are kept while nobody listens: those of a start, and of a reload."""


@attrs.frozen
class Event:
    """One line of the daemon's log. `at` is in seconds since the epoch; `id` is history's."""

    at: float
    name: str
    level: str
    engine: str | None = None
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    id: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the event as `vllmd events --json` prints it."""
        return attrs.asdict(self, recurse=False)


def from_json(record: Mapping[str, Any]) -> Event:
    """Read what `Event.to_json` made."""
    return Event(
        at=record["at"],
        name=record["name"],
        level=record["level"],
        engine=record["engine"],
        fields=record["fields"],
        id=record["id"],
    )


Entry = MutableMapping[str, Any]
Listener = Callable[[Event], None]
"""Takes an event in the event loop, at once: it may neither wait nor raise."""


class Feed:
    """A structlog processor: the journal, the history and the webhook tell the same."""

    def __init__(self) -> None:
        self._listeners: Sequence[Listener] = ()
        self._backlog: deque[Event] = deque(maxlen=BACKLOG)

    def __call__(self, _logger: Any, method: str, entry: Entry) -> Entry:
        """Hand on one entry of the log, and return it as it is."""
        fields = {k: v for k, v in entry.items() if k not in ("event", "level", "engine")}
        level = entry.get("level", method)
        event = Event(time.time(), str(entry["event"]), level, entry.get("engine"), fields)
        if not self._listeners:
            self._backlog.append(event)
        for listener in self._listeners:
            listener(event)
        return entry

    def attach(self, *listeners: Listener) -> None:
        """Let these listen from now on; they hear first what nobody has heard yet."""
        self._listeners = listeners
        while self._backlog:
            event = self._backlog.popleft()
            for listener in listeners:
                listener(event)

    def detach(self) -> None:
        """Let nobody listen: what comes is kept for the next."""
        self._listeners = ()
