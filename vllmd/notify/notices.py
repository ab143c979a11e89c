"""Which events a person is told of at once, and what they are told. Pure: no I/O."""

from collections import defaultdict, deque

import attrs

from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.eventlog.narrative import Story, tell
from vllmd.events.daemon import ConfigRefused, ConfigReloaded, DaemonRecovered
from vllmd.events.engine import EngineExited, EngineHeld, EngineStalled, EngineStateChanged

KEPT = 50
"""Events of an engine that its story is told from."""

FAILED = "VllmdEngineFailed"
HELD = "VllmdEngineHeld"
STALLED = "VllmdEngineStalled"
CONFIG = "VllmdConfigRefused"
DAEMON = "VllmdDaemonFailed"

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
class _Open:
    alert: str
    since: float
    cause: str | None


class Notices:
    """Turns events into notices: a failure once, not once a restart; its end once."""

    def __init__(self) -> None:
        self._told: dict[str, deque[Event]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._open: dict[str | None, _Open] = {}
        self.suppressed = 0
        """Failures that were not told of, because the one before was of the same cause."""

    def take(self, event: Event) -> Notice | None:
        """Take an event; return what to say about it, if anything."""
        if event.engine is None:
            return self._of_daemon(event)
        if event.name in narrative.NAMES:
            self._told[event.engine].append(event)
        fields = event.fields
        if event.name == EngineExited.name and not fields.get("requested"):
            return self._fires(FAILED, "warning", event, fields.get("cause"))
        if event.name == EngineStalled.name and not fields.get("acted"):
            return self._fires(STALLED, "critical", event, "stalled")
        if event.name == EngineHeld.name:
            return self._fires(HELD, "critical", event, f"held: {fields.get('cause')}")
        if event.name == EngineStateChanged.name and fields.get("state") in ("ready", "stopped"):
            return self._ends(event)
        return None

    def _of_daemon(self, event: Event) -> Notice | None:
        if event.name == DaemonRecovered.name:
            text = f"{event.fields.get('problem')}. It runs again; engines were not touched."
            summary = f"vllmd: the last daemon {_ENDS.get(str(event.fields.get('how')))}"
            return Notice(DAEMON, True, event.at, event.at, "warning", summary, text)
        if event.name == ConfigRefused.name and None not in self._open:
            self._open[None] = _Open(CONFIG, event.at, None)
            text = f"{event.fields.get('problem')}. Nothing changed; what runs, runs on."
            summary = "vllmd: the configuration cannot be used"
            return Notice(CONFIG, True, event.at, event.at, "warning", summary, text)
        if event.name == ConfigReloaded.name and None in self._open:
            opened = self._open.pop(None)
            summary = "vllmd: the configuration can be used again"
            return Notice(CONFIG, False, event.at, opened.since, "warning", summary, summary)
        return None

    def _fires(self, alert: str, severity: str, event: Event, cause: str | None) -> Notice | None:
        engine = str(event.engine)
        opened = self._open.get(engine)
        if opened is not None and opened.cause == cause:
            self.suppressed += 1
            return None
        since = opened.since if opened is not None else event.at
        self._open[engine] = _Open(alert, since, cause)
        told = tell(engine, list(self._told[engine]), event.at)
        what = {FAILED: "failed", HELD: "is held", STALLED: "makes no progress"}[alert]
        summary = f"vllmd: {engine} {what}: {told.cause or cause}"
        return Notice(alert, True, event.at, since, severity, summary, told.text, engine, told)

    def _ends(self, event: Event) -> Notice | None:
        engine = str(event.engine)
        opened = self._open.pop(engine, None)
        if opened is None:
            return None
        state = event.fields.get("state")
        summary = f"vllmd: {engine} {'serves again' if state == 'ready' else 'was stopped'}"
        told = tell(engine, list(self._told[engine]), event.at)
        return Notice(
            opened.alert, False, event.at, opened.since, "warning", summary, told.text, engine, told
        )
