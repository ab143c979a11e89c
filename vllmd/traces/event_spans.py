"""What happened to engines, as trees of spans: starts, stops, restarts, incidents. Pure.

An episode begins when an engine stops serving, or starts, and ends when it serves again, is
stopped or held. It is told once it is over.
"""

from collections.abc import Mapping

import attrs

from vllmd.engine.state_machine import State
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited, EnginePhaseReached, EngineStalled, EngineStateChanged
from vllmd.events.lora import LoraFailed, LoraLoaded, LoraUnloaded
from vllmd.events.reading_back import by_name, read_back

START, STOP, RESTART, STALL, INCIDENT, LORA_CHANGE = (
    f"engine.{name}" for name in ("start", "stop", "restart", "stall", "incident", "lora_change")
)
MAX_PARTS = 200
"""An engine that fails for days is one episode; its first starts are told, not all of them."""

_SERVES = frozenset({State.READY, State.SLEEPING})
_ENDS = frozenset({State.STOPPED, State.HELD})
_STOPS = frozenset({State.DRAINING, State.STOPPING})
_READ = by_name(
    EngineStateChanged,
    EnginePhaseReached,
    EngineStalled,
    EngineExited,
    LoraLoaded,
    LoraUnloaded,
    LoraFailed,
)


@attrs.define
class EventSpan:
    """One span. Times in seconds since the epoch; `error` says what went wrong, if it did."""

    name: str
    started_at: float
    ended_at: float = 0.0
    error: str | None = None
    attributes: dict[str, str] = attrs.field(factory=dict)
    parts: list["EventSpan"] = attrs.field(factory=list)


@attrs.define
class _Episode:
    began_at: float
    parts: list[EventSpan] = attrs.field(factory=list)
    open: dict[str, EventSpan] = attrs.field(factory=dict)
    """Parts under way, by their name."""
    phase: EventSpan | None = None
    failure: EventSpan | None = None

    def begin(self, name: str, at: float) -> EventSpan:
        part = self.open.get(name)
        if part is None:
            part = self.open[name] = EventSpan(name, at)
            if len(self.parts) < MAX_PARTS:
                self.parts.append(part)
        return part

    def reach(self, phase: str, at: float) -> None:
        start = self.open.get(START)
        if start is not None:
            at = max(at, self.phase.started_at if self.phase else start.started_at)
            self.end_phase(at)
            self.phase = EventSpan(f"{START} {phase}", at)
            start.parts.append(self.phase)

    def end_phase(self, at: float) -> None:
        if self.phase is not None:
            self.phase.ended_at = at
            self.phase = None

    def end_parts(self, at: float) -> None:
        self.end_phase(at)
        for part in self.open.values():
            part.ended_at = at
        self.open.clear()

    def fail(self, at: float, error: str, attributes: Mapping[str, str | None]) -> None:
        told = {f"vllmd.{name}": value for name, value in attributes.items() if value}
        if self.failure is None:
            self.failure = EventSpan(INCIDENT, at, error=error, attributes=told)
        if (start := self.open.get(START)) is not None:
            start.error, start.attributes = error, told
            if self.phase is not None:
                self.phase.error = error

    def tell(self, engine: str, at: float) -> EventSpan | None:
        """End it; None if nothing is to be told."""
        self.end_parts(at)
        names = {part.name for part in self.parts}
        if self.failure is not None:
            root = self.failure
            root.started_at = min(self.began_at, root.started_at)
        elif {START, STOP} <= names:
            root = EventSpan(RESTART, self.began_at)
        elif self.parts:
            root = self.parts.pop(0)
        else:
            return None
        root.ended_at = at
        root.parts += self.parts
        _name_engine(root, engine)
        return root


def _name_engine(part: EventSpan, engine: str) -> None:
    part.attributes["vllmd.engine"] = engine
    for each in part.parts:
        _name_engine(each, engine)


def _of_end(end: EngineExited) -> dict[str, str | None]:
    return {
        "code": end.code,
        "text": end.text,
        "run_id": end.run_id,
        "cause": end.cause,
        "kind": end.kind,
        "explanation": end.explanation,
        "advice": end.advice,
        "incident": end.incident,
        "phase": end.phase,
    }


class EventSpans:
    """The episodes under way, one an engine at most."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Episode] = {}

    def take(self, event: Event) -> EventSpan | None:
        """Take one event; returns the episode that it ends."""
        engine, at = event.engine, event.at
        if engine is None:
            return None
        match read_back(_READ, event):
            case LoraLoaded(adapter=adapter, path=path, duration_s=took_s):
                return self._change_adapter(engine, at, "load", adapter, path, took_s=took_s)
            case LoraUnloaded(adapter=adapter, path=path, duration_s=took_s):
                return self._change_adapter(engine, at, "unload", adapter, path, took_s=took_s)
            case LoraFailed(adapter=adapter, path=path, reason=reason):
                return self._change_adapter(engine, at, "load", adapter, path, error=reason)
            case EnginePhaseReached(phase=phase, ago_s=ago_s) if engine in self._under_way:
                self._under_way[engine].reach(phase, at - ago_s)
            case EngineStalled() as stall:
                self._of(engine, at).fail(at, stall.reason, {"incident": stall.incident})
            case EngineExited(requested=False) as end:
                self._of(engine, at).fail(at, end.explanation or end.text, _of_end(end))
            case EngineStateChanged(state=state):
                return self._change(engine, at, state)
        return None

    def _change_adapter(
        self,
        engine: str,
        at: float,
        change: str,
        adapter: str | None,
        path: str | None,
        *,
        took_s: float = 0.0,
        error: str | None = None,
    ) -> EventSpan | None:
        """Tell of an adapter: as a part of the start under way, or by itself."""
        if not adapter:
            return None
        part = EventSpan(
            LORA_CHANGE,
            at - took_s,
            at,
            error=error,
            attributes={
                "vllmd.lora.adapter": adapter,
                "vllmd.lora.path": str(path),
                "vllmd.lora.change": change,
            },
        )
        episode = self._under_way.get(engine)
        start = episode.open.get(START) if episode else None
        if start is not None:
            start.parts.append(part)
            return None
        _name_engine(part, engine)
        return part

    def _change(self, engine: str, at: float, state: str) -> EventSpan | None:
        if state == State.STARTING:
            self._of(engine, at).begin(START, at)
        elif state == State.STALLED:
            self._of(engine, at).begin(STALL, at)
        elif state in _STOPS:
            episode = self._of(engine, at)
            if STOP not in episode.open:
                episode.end_parts(at)
            episode.begin(STOP, at)
        elif engine in self._under_way:
            if state in _SERVES | _ENDS:
                return self._under_way.pop(engine).tell(engine, at)
            if state == State.BACKOFF:
                self._under_way[engine].end_parts(at)
        return None

    def _of(self, engine: str, at: float) -> _Episode:
        return self._under_way.setdefault(engine, _Episode(at))
