"""What happened to an engine, told to a person: what died, why, what was done, what to do next.

Pure: events in, words out. The terminal, the webhook and the bundle say the same.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from vllmd.eventlog.bus import Event
from vllmd.events.engine import (
    EngineAdopted,
    EngineBackoffStarted,
    EngineCacheMoved,
    EngineExited,
    EngineHeld,
    EngineReleased,
    EngineSpawned,
    EngineStalled,
    EngineStateChanged,
)
from vllmd.events.history import HistoryIncomplete, HistoryInterrupted, HistorySetAside
from vllmd.events.requests import RequestAccepted
from vllmd.util.units import HOUR_S, format_duration

NAMES = (
    EngineExited.name,
    EngineStalled.name,
    EngineHeld.name,
    EngineReleased.name,
    EngineBackoffStarted.name,
    EngineSpawned.name,
    EngineAdopted.name,
    EngineCacheMoved.name,
    EngineStateChanged.name,
    RequestAccepted.name,
    HistoryInterrupted.name,
    HistoryIncomplete.name,
    HistorySetAside.name,
)
"""The events that a story is made of."""

MAX_QUOTE = 240
_GAPS = (HistoryInterrupted.name, HistoryIncomplete.name, HistorySetAside.name)


@attrs.frozen
class Story:
    """The last failure of one engine; without one, `cause` and what goes with it are None."""

    engine: str
    text: str
    at: float | None = None
    cause: str | None = None
    kind: str | None = None
    explanation: str | None = None
    advice: str | None = None
    evidence: tuple[str, ...] = ()
    state: str | None = None
    """The engine's state after the last event."""
    failures: int = 0
    """How many in a row, up to the last one, without being ready in between."""
    incident: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the story as `vllmd why --json` prints it."""
        return attrs.asdict(self)


def engines_in(told: Sequence[Event]) -> list[str]:
    """Return the engines that events are about, as they came."""
    return list(dict.fromkeys(event.engine for event in told if event.engine))


def tell(engine: str, told: Sequence[Event], now: float) -> Story:
    """Tell the last failure of an engine from its events, the oldest first."""
    own = [e for e in told if e.engine == engine or e.name in _GAPS]
    last = next((i for i in reversed(range(len(own))) if _is_failure(own, i)), None)
    state = _state(own)
    if last is None:
        return Story(engine, _nothing(engine, own, state, now), state=state)
    failure, fields = own[last], own[last].fields
    streak = _streak(own, last)
    parts = [
        _what_died(engine, failure, own[:last], now),
        _why(fields),
        _evidence(fields),
        _first_of(streak, failure) or _how_often(own[: last + 1], failure.at),
        _what_was_done(own[last + 1 :], now),
        _what_to_do(fields),
        f"More is in {fields['incident']}." if fields.get("incident") else "",
        _gap(own, streak[0].at, now),
    ]
    return Story(
        engine,
        " ".join(part for part in parts if part),
        at=failure.at,
        cause=fields.get("cause"),
        kind=fields.get("kind"),
        explanation=fields.get("explanation"),
        advice=fields.get("advice"),
        evidence=tuple(fields.get("evidence") or ()),
        state=state,
        failures=len(streak),
        incident=fields.get("incident"),
    )


def _is_failure(own: Sequence[Event], index: int) -> bool:
    event = own[index]
    if event.name == EngineExited.name:
        return not event.fields.get("requested")
    if event.name == EngineStalled.name:  # its end tells more, if there was one
        rest = own[index + 1 :]
        return not any(e.name in (EngineExited.name, EngineSpawned.name) for e in rest)
    return False


def _streak(own: Sequence[Event], last: int) -> list[Event]:
    """Return the failures up to the last one, without the engine being ready in between."""
    streak: list[Event] = []
    for index in reversed(range(last + 1)):
        if _ready(own[index]):
            break
        if _is_failure(own, index):
            streak.insert(0, own[index])
    return streak


def _state(own: Sequence[Event]) -> str | None:
    changes = [e for e in own if e.name == EngineStateChanged.name]
    return str(changes[-1].fields.get("state")) if changes else None


def _ready(event: Event) -> bool:
    return event.name == EngineStateChanged.name and event.fields.get("state") == "ready"


def _starting(event: Event) -> bool:
    return event.name == EngineStateChanged.name and event.fields.get("state") == "starting"


def _nothing(engine: str, own: Sequence[Event], state: str | None, now: float) -> str:
    ends = [e for e in own if e.name == EngineExited.name]
    gap = _gap(own, 0.0, now)
    if not own:
        return f"Nothing is known of {engine}: the history has no event of it."
    since = f"since {moment(own[0].at)}, where its history begins"
    text = f"{engine} has not failed {since}; it is {state or 'in a state that is not known'}."
    if ends:
        text += f" It ended last {_ago(ends[-1].at, now)}, as asked."
    return f"{text} {gap}".strip()


def _what_died(engine: str, failure: Event, before: Sequence[Event], now: float) -> str:
    text = failure.fields.get("text") or _stalled_text(failure)
    ready = next((e for e in reversed(before) if _ready(e)), None)
    start = next((e for e in reversed(before) if _starting(e)), None)
    served = ""
    if ready is not None and (start is None or ready.at >= start.at):
        served = f", after it had served for {format_duration(failure.at - ready.at)}"
    elif start is not None:
        served = f", {format_duration(failure.at - start.at)} after its start"
    return f"{engine} failed {_ago(failure.at, now)}, at {moment(failure.at)}{served}: it {text}."


def _stalled_text(failure: Event) -> str:
    if failure.name == EngineStalled.name:
        return f"makes no progress and was left as it is ({failure.fields.get('reason')})"
    return f"exited with code {failure.fields.get('code')}, unasked"


def _why(fields: Mapping[str, Any]) -> str:
    explanation = fields.get("explanation")
    return f"Why: {explanation} (cause: {fields.get('cause')})" if explanation else ""


def _evidence(fields: Mapping[str, Any]) -> str:
    seen = fields.get("evidence") or ()
    return f"Evidence: “{_short(seen[0])}”." if seen else ""


def _short(line: str) -> str:
    return line if len(line) <= MAX_QUOTE else f"{line[:MAX_QUOTE]}…"


def _first_of(streak: Sequence[Event], failure: Event) -> str:
    if len(streak) < 2:
        return ""
    first = streak[0]
    text = f"It was failure {len(streak)} in a row"
    if first.fields.get("cause") != failure.fields.get("cause"):
        why = first.fields.get("explanation") or "for a cause that is not known."
        return f"{text}; the first one, at {moment(first.at)}, was another: {why}"
    return f"{text}, all of the same cause." if _same(streak) else f"{text}."


def _how_often(own: Sequence[Event], until: float) -> str:
    """Say how often it failed lately, although it was ready in between."""
    count = sum(_is_failure(own, i) and own[i].at >= until - HOUR_S for i in range(len(own)))
    return f"It was failure {count} within an hour." if count > 1 else ""


def _same(streak: Sequence[Event]) -> bool:
    return len({e.fields.get("cause") for e in streak}) == 1


def _what_was_done(after: Sequence[Event], now: float) -> str:
    done: list[str] = []
    for event in after:
        fields = event.fields
        if event.name == EngineCacheMoved.name:
            done.append("vLLM's compile cache was put aside")
        elif event.name == EngineBackoffStarted.name:
            pause_s = fields.get("pause_s") or 0.0
            done.append(f"another start was planned after {format_duration(pause_s)}")
        elif event.name == EngineHeld.name:
            retry = fields.get("retry_at")
            again = f"; tried again at {moment(retry)}" if retry and retry > now else ""
            done.append(f"it is not started again until that is mended{again}")
        elif event.name == EngineReleased.name:
            done.append(f"the hold ended ({fields.get('why')})")
        elif event.name == RequestAccepted.name and fields.get("action") in _ACTIONS:
            done.append(f"{fields.get('user')} asked to {fields.get('action')} it")
        elif event.name == EngineSpawned.name:
            done.append(f"it was started again at {moment(event.at, date=False)}")
        elif _ready(event):
            done.append(f"it serves again since {moment(event.at, date=False)}")
            break
    if not done:
        return "What was done: nothing yet."
    return f"What was done: {'; '.join(done)}."


_ACTIONS = ("start", "stop", "restart")


def _what_to_do(fields: Mapping[str, Any]) -> str:
    advice = fields.get("advice")
    return f"What to do: {advice}" if advice else ""


def _gap(own: Sequence[Event], since: float, now: float) -> str:
    """Say that the history is not whole around what is told."""
    for event in reversed(own):
        if event.name not in _GAPS or event.at < since:
            continue
        when = moment(event.at)
        if event.name == HistoryIncomplete.name:
            return (
                f"Mind the gap: {event.fields.get('missing')} events before {when} are lost "
                "(the disk did not keep them)."
            )
        if event.name == HistorySetAside.name:
            return f"Mind the gap: the history was damaged and begins anew at {when}."
        last = event.fields.get("last_event_at")
        after = f" after {moment(last)}" if last else ""
        return f"Mind the gap: vllmd itself was killed{after} and came back at {when}."
    return ""


def _ago(at: float, now: float) -> str:
    passed_s = now - at
    return f"{format_duration(passed_s)} ago" if passed_s >= 1 else "a moment ago"


def moment(at: float, *, date: bool = True) -> str:
    """Write a moment in local time, such as ``2026-01-31 03:15:07 CET``."""
    return (
        datetime.fromtimestamp(at)
        .astimezone()
        .strftime("%Y-%m-%d %H:%M:%S %Z" if date else "%H:%M:%S")
    )
