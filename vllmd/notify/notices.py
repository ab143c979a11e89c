"""Which events a person is told of at once, and what they are told. Pure: no I/O."""

from collections import defaultdict, deque

import attrs

from vllmd.engine.state_machine import State
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.eventlog.narrative import Story, tell
from vllmd.events.base import TypedEvent
from vllmd.events.daemon import ConfigRefused, ConfigReloaded, DaemonRecovered
from vllmd.events.engine import EngineExited, EngineHeld, EngineStalled, EngineStateChanged
from vllmd.events.reading_back import by_name, read_back

KEPT = 50
"""Events of an engine that its story is told from."""

FAILED = "VllmdEngineFailed"
HELD = "VllmdEngineHeld"
STALLED = "VllmdEngineStalled"
CONFIG = "VllmdConfigRefused"
DAEMON = "VllmdDaemonFailed"

_READ = by_name(
    EngineExited,
    EngineStalled,
    EngineHeld,
    EngineStateChanged,
    DaemonRecovered,
    ConfigRefused,
    ConfigReloaded,
)
_ENDS = {"failed": "ended by a mistake", "lost": "ended without a word"}


@attrs.frozen
class Notice:
    """One message; `firing` until it is sent again as not. Times are seconds since the epoch."""

    alert: str
    firing: bool
    at: float
    since: float
    severity: str
    summary: str
    text: str
    engine: str | None = None
    story: Story | None = None


@attrs.define
class _OpenAlert:
    alert: str
    since: float
    cause: str | None


class Notices:
    """Turns events into notices: a failure once, not once a restart; its end once."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[Event]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._open: dict[str | None, _OpenAlert] = {}
        self.suppressed = 0
        """Failures that were not told of, because the one before was of the same cause."""

    def take(self, event: Event) -> Notice | None:
        """Take an event; return what to say about it, if anything."""
        told = read_back(_READ, event)
        if event.engine is None:
            return self._of_daemon(event.at, told)
        if event.name in narrative.NAMES:
            self._recent[event.engine].append(event)
        match told:
            case EngineExited(requested=False, cause=cause):
                return self._fires(FAILED, "warning", event.engine, event.at, cause)
            case EngineStalled(acted=False):
                return self._fires(STALLED, "critical", event.engine, event.at, "stalled")
            case EngineHeld(cause=cause):
                return self._fires(HELD, "critical", event.engine, event.at, f"held: {cause}")
            case EngineStateChanged(state="ready" | "stopped" as state):
                return self._ends(event.engine, event.at, state)
        return None

    def _of_daemon(self, at: float, told: TypedEvent | None) -> Notice | None:
        match told:
            case DaemonRecovered(how=how, problem=problem):
                text = f"{problem}. It runs again; engines were not touched."
                summary = f"vllmd: the last daemon {_ENDS.get(how)}"
                return Notice(DAEMON, True, at, at, "warning", summary, text)
            case ConfigRefused(problem=problem) if None not in self._open:
                self._open[None] = _OpenAlert(CONFIG, at, None)
                text = f"{problem}. Nothing changed; what runs, runs on."
                summary = "vllmd: the configuration cannot be used"
                return Notice(CONFIG, True, at, at, "warning", summary, text)
            case ConfigReloaded() if None in self._open:
                opened = self._open.pop(None)
                summary = "vllmd: the configuration can be used again"
                return Notice(CONFIG, False, at, opened.since, "warning", summary, summary)
        return None

    def _fires(
        self, alert: str, severity: str, engine: str, at: float, cause: str | None
    ) -> Notice | None:
        opened = self._open.get(engine)
        if opened is not None and opened.cause == cause:
            self.suppressed += 1
            return None
        since = opened.since if opened is not None else at
        self._open[engine] = _OpenAlert(alert, since, cause)
        told = tell(engine, list(self._recent[engine]), at)
        what = {FAILED: "failed", HELD: "is held", STALLED: "makes no progress"}[alert]
        summary = f"vllmd: {engine} {what}: {told.cause or cause}"
        return Notice(alert, True, at, since, severity, summary, told.text, engine, told)

    def _ends(self, engine: str, at: float, state: str) -> Notice | None:
        opened = self._open.pop(engine, None)
        if opened is None:
            return None
        summary = f"vllmd: {engine} {'serves again' if state == State.READY else 'was stopped'}"
        told = tell(engine, list(self._recent[engine]), at)
        return Notice(
            opened.alert, False, at, opened.since, "warning", summary, told.text, engine, told
        )
