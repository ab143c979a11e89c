"""What the tabs show besides the status document: asked as the commands ask, each in its time."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs

from vllmd.cli.failures import failures_told
from vllmd.cli.history_source import find_events
from vllmd.cli.why import with_now
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.history.reading import EventFilter
from vllmd.logs.lines import Line
from vllmd.logs.reader import LogReader
from vllmd.logs.reading import LineFilter, LogFilter, newest, to_come
from vllmd.util.redact import without_shapes
from vllmd.util.units import DAY_S

T = TypeVar("T")
EVENTS = 500
LOG_LINES = 500
MOST_LOG_LINES = 2000
COST_S = 15.0
WHY_S = 10.0
SOON_S = 2.0
ALWAYS_S = 0.0


class Feed(Generic[T]):
    """One thing that is asked again after some seconds; what was answered last stays."""

    def __init__(self, ask: Callable[[], T], every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._asked_at: float | None = None
        self.value: T | None = None
        self.problem: str | None = None

    def renew(self, monotonic: float) -> None:
        """Ask, if it is time to."""
        if self._asked_at is not None and monotonic - self._asked_at < self._every_s:
            return
        self._asked_at = monotonic
        try:
            self.value = self._ask()
            self.problem = None
        except VllmdError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = error.strerror or str(error)


class _EventTail:
    """The events of the last day, and those to come."""

    def __init__(self, client: ControlClient, config_path: Path) -> None:
        self._client = client
        self._config_path = config_path
        self._found: deque[Event] = deque(maxlen=EVENTS)
        self._wanted = EventFilter(since=time.time() - DAY_S, limit=EVENTS)

    def ask(self) -> list[Event]:
        """Return them, the oldest first. Raises: VllmdError."""
        new = find_events(self._client, self._config_path, self._wanted)
        self._found.extend(new)
        if new:
            self._wanted = attrs.evolve(self._wanted, after_id=new[-1].id)
        return list(self._found)


class _LogTail:
    """The newest lines of a log, and those to come; without secrets, as `vllmd logs` shows it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader: LogReader | None = None
        self._filter = LineFilter(LogFilter())
        self._lines: deque[Line] = deque(maxlen=MOST_LOG_LINES)
        self._shown: list[Line] = []

    def ask(self) -> list[Line]:
        """Return them, the oldest first; the same list while nothing is new. Raises: OSError."""
        if self._reader is None:
            found, end = newest(self._path, LogFilter(), LOG_LINES)
            self._reader = LogReader(self._path, end)
        else:
            found = list(to_come(self._reader, self._filter, time.time()))
        if found:
            self._lines.extend(attrs.evolve(line, text=without_shapes(line.text)) for line in found)
            self._shown = list(self._lines)
        return self._shown


class Feeds:
    """All that is asked of this host's daemon, by name."""

    def __init__(self, client: ControlClient, config_path: Path) -> None:
        self._client = client
        self._config_path = config_path
        self.gpus: Feed[dict[str, Any]] = Feed(client.gpus, SOON_S)
        self.traces: Feed[dict[str, Any]] = Feed(client.traces, SOON_S)
        self.adapters: Feed[list[dict[str, Any]]] = Feed(client.adapters, SOON_S)
        self.events = Feed(_EventTail(client, config_path).ask, SOON_S)
        self.cost = Feed(self._cost, COST_S)
        self.told = Feed(lambda: failures_told(client, config_path), WHY_S)
        self._logs: dict[str, Feed[list[Line]]] = {}

    def log(self, path: str) -> Feed[list[Line]]:
        """Return the feed of a log: one, however often it is looked at."""
        if path not in self._logs:
            self._logs[path] = Feed(_LogTail(path).ask, ALWAYS_S)
        return self._logs[path]

    def _cost(self) -> dict[str, Any]:
        now = time.time()
        return self._client.cost(now - DAY_S, now)

    def report(self, engine: dict[str, Any]) -> dict[str, Any] | None:
        """Return the parts of what `vllmd why` says; None if nothing has happened to the engine."""
        told = self.told.value or []
        if engine["name"] not in narrative.engines_in(told):
            return None
        story = narrative.tell(engine["name"], told, time.time())
        return with_now(story.report.to_json(), engine)
