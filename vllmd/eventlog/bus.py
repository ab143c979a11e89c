"""Every event of the daemon's log, handed on to those who keep it or send it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import attrs

BACKLOG = 256
"""Events that are kept while nobody listens: those of a start."""


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
"""Takes an event in the event loop, at once: it may not wait."""
Failed = Callable[[str, BaseException], None]


class EventBus:
    """A structlog processor: the journal, the history and the webhook tell the same.

    Any thread may log. Listeners hear it in the event loop, and one that raises all the same is
    counted: neither the others nor whoever logs notice.
    """

    def __init__(self) -> None:
        self._listeners: Mapping[str, Listener] = {}
        self._failed: Failed = lambda *_: None
        self._failing: set[str] = set()
        self._backlog: deque[Event] = deque(maxlen=BACKLOG)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def __call__(self, _logger: Any, method: str, entry: Entry) -> Entry:
        """Hand on one entry of the log, and return it as it is."""
        fields = {k: v for k, v in entry.items() if k not in ("event", "level", "engine")}
        level = entry.get("level", method)
        event = Event(time.time(), str(entry["event"]), level, entry.get("engine"), fields)
        loop = self._loop
        if loop is None or threading.get_ident() == self._thread:
            self._hand_on(event)
            return entry
        try:
            loop.call_soon_threadsafe(self._hand_on, event)
        except RuntimeError:  # it has ended; the next daemon's listeners hear it
            self._backlog.append(event)
        return entry

    def attach(self, listeners: Mapping[str, Listener], failed: Failed = lambda *_: None) -> None:
        """Let these listen from now on; they hear first what nobody has heard yet.

        `failed` gets the name of a listener that raises, as `events:<name>`, and what it raised.
        """
        try:
            self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        except RuntimeError:
            self._loop = None
        self._listeners, self._failed = listeners, failed
        for _ in range(len(self._backlog)):
            self._hand_on(self._backlog.popleft())

    def detach(self) -> None:
        """Let nobody listen: what comes is kept for the next."""
        self._listeners, self._loop = {}, None

    def _hand_on(self, event: Event) -> None:
        if not self._listeners:
            self._backlog.append(event)
        for name, listener in self._listeners.items():
            if name in self._failing:
                continue  # what is told of its failure would fail again, for ever
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - isolates a listener
                self._failing.add(name)
                self._failed(f"events:{name}", error)
                self._failing.discard(name)
