"""What happened to an engine, told to a person: what died, why, what was done, what to do next.

Pure: events in, a report out. The terminal, the webhook and the bundle say the same.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs

from vllmd.eventlog.bus import Event
from vllmd.eventlog.group_story import FAILED, with_groups
from vllmd.events.base import TypedEvent
from vllmd.events.engine import (
    EngineAdopted,
    EngineBackoffStarted,
    EngineCacheMoved,
    EngineDoubted,
    EngineExited,
    EngineHeld,
    EngineReleased,
    EngineRoomAwaited,
    EngineRoomWaitEnded,
    EngineSpawned,
    EngineStalled,
    EngineStateChanged,
)
from vllmd.events.history import HistoryIncomplete, HistoryInterrupted, HistorySetAside
from vllmd.events.reading_back import by_name, read_back
from vllmd.events.requests import RequestAccepted
from vllmd.events.weights import WeightsNotLoaded, WeightsRenewed, WeightsUnresponsive
from vllmd.util.failure_report import FailureReport
from vllmd.util.terminal_text import full_stop
from vllmd.util.units import DAY_S, HOUR_S, format_duration

_GAPS = by_name(HistoryInterrupted, HistoryIncomplete, HistorySetAside)
_READ = by_name(
    *(EngineExited, FAILED),
    EngineStalled,
    EngineHeld,
    EngineReleased,
    EngineBackoffStarted,
    EngineSpawned,
    EngineAdopted,
    EngineCacheMoved,
    EngineDoubted,
    EngineRoomAwaited,
    EngineRoomWaitEnded,
    EngineStateChanged,
    WeightsNotLoaded,
    WeightsRenewed,
    WeightsUnresponsive,
    RequestAccepted,
    *_GAPS.values(),
)
NAMES = tuple(_READ)
"""The events that a story is made of."""
LOOK_BACK_S = 90 * DAY_S
MAX_EVENTS = 2000

_ACTIONS = ("start", "stop", "restart")


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
    report: FailureReport = FailureReport()

    def to_json(self) -> dict[str, Any]:
        """Return the story as `vllmd why --json` prints it: with the parts of its report."""
        shown = attrs.asdict(self, filter=lambda field, _: field.name != "report")
        return {**shown, **self.report.to_json()}


def engines_in(told: Sequence[Event]) -> list[str]:
    """Return the engines that events are about, as they came."""
    return list(dict.fromkeys(event.engine for event in told if event.engine))


@attrs.frozen
class _Step:
    """An event, and when it was told; None for one that no story is made of."""

    at: float
    told: TypedEvent | None


@attrs.frozen
class _Failure:
    """What a story says of an end that nobody asked for, or of a stall."""

    at: float
    text: str
    incident: str | None
    cause: str | None = None
    kind: str | None = None
    explanation: str | None = None
    advice: str | None = None
    evidence: tuple[str, ...] = ()


def tell(engine: str, told: Sequence[Event], now: float) -> Story:
    """Tell the last failure of an engine from its events, the oldest first."""
    own = [_Step(e.at, read_back(_READ, e)) for e in told if e.engine == engine or e.name in _GAPS]
    own = with_groups(own)
    failures = [_failure(own, index) for index in range(len(own))]
    last = next((i for i in reversed(range(len(own))) if failures[i]), None)
    state = _state(own)
    failure = failures[last] if last is not None else None
    doubts = _doubts(own, state)
    if last is None or failure is None:
        report = _nothing(engine, own, state, now)
        if doubts:
            report = _doubted(engine, own, doubts, state, now)
        return Story(engine, report.text(), state=state, report=report)
    streak = _streak(own, failures, last)
    since = next((s.at for s in own[last + 1 :] if _came_to(s, "ready")), None)
    often = _first_of(streak, failure) or _how_often(failures[: last + 1], failure.at)
    parts = [
        _mended(engine, since, state, now),
        _what_died(engine, failure, own[:last], now),
        often,
    ]
    report = FailureReport(
        what=" ".join(part for part in parts if part),
        why=f"{failure.explanation} (cause: {failure.cause})" if failure.explanation else "",
        evidence=failure.evidence,
        done=_what_was_done(own[last + 1 :], now),
        next=_next(engine, failure, state),
        more=_more(engine, failure, _gap(own, streak[0].at)),
    )
    if doubts:
        report = _doubted(engine, own, doubts, state, now, before=report.what)
    return Story(
        engine,
        report.text(),
        at=failure.at,
        cause=failure.cause,
        kind=failure.kind,
        explanation=failure.explanation,
        advice=failure.advice,
        evidence=failure.evidence,
        state=state,
        failures=len(streak),
        incident=failure.incident,
        report=report,
    )


def _doubts(own: Sequence[_Step], state: str | None) -> list[EngineDoubted]:
    """Return what says that a start that is under way will fail: the last of each check."""
    if state not in ("starting", "loading"):
        return []
    found: dict[str, EngineDoubted] = {}
    for step in own:
        if _came_to(step, "ready"):
            found.clear()
        if isinstance(step.told, EngineDoubted) and step.told.severity == "error":
            found[step.told.check] = step.told
    return list(found.values())


def _doubted(
    engine: str,
    own: Sequence[_Step],
    doubts: Sequence[EngineDoubted],
    state: str | None,
    now: float,
    *,
    before: str = "",
) -> FailureReport:
    """Tell of a start that is under way and will probably fail; `before` is what happened last."""
    since = next((step.at for step in reversed(own) if _came_to(step, "starting")), own[-1].at)
    what = f"{engine} has been {state} for {_span(since, now)}, and will probably fail. {before}"
    return FailureReport(
        what=what.strip(),
        why=" ".join(full_stop(doubt.found) for doubt in doubts),
        evidence=tuple(line for doubt in doubts for line in doubt.evidence or ()),
        done="Nothing yet: it is not ended for that.",
        next=tuple(dict.fromkeys(doubt.fix for doubt in doubts if doubt.fix)),
        more=(f"vllmd logs {engine}",),
    )


def _mended(engine: str, since: float | None, state: str | None, now: float) -> str:
    """Say of an engine that serves again that it does, before all that is over."""
    if since is None or state != "ready":
        return ""
    return f"{engine} serves again since {moment(since)} ({_ago(since, now)}). Before:"


def _next(engine: str, failure: _Failure, state: str | None) -> tuple[str, ...]:
    """Return what to do, the commands with the engine's name in them."""
    advice = failure.advice or ""
    for verb in ("start", "logs"):
        advice = advice.replace(f"'vllmd {verb}'", f"'vllmd {verb} {engine}'")
    if state == "ready":
        return tuple(each for each in ("Nothing has to be done now.", advice) if each)
    command = f"vllmd start {engine}" if state in ("held", "backoff", "stopped") else ""
    if not failure.cause and failure.explanation is None:
        command = command or f"vllmd restart {engine}"
    return tuple(each for each in (advice, command) if each)


def _more(engine: str, failure: _Failure, gap: str) -> tuple[str, ...]:
    """Return where there is more, and that something may be missing."""
    return tuple(each for each in (failure.incident, f"vllmd logs {engine}", gap) if each)


def _failure(own: Sequence[_Step], index: int) -> _Failure | None:
    at = own[index].at
    match own[index].told:
        case EngineExited(requested=False) as end:
            return _Failure(
                at,
                end.text or f"exited with code {end.code or 'unknown'} unexpectedly",
                end.incident,
                end.cause,
                end.kind,
                end.explanation,
                end.advice,
                end.evidence or (),
            )
        case EngineStalled() as stall:
            for later in own[index + 1 :]:  # its end tells more, if there was one
                if isinstance(later.told, EngineExited | EngineSpawned):
                    return None
            text = f"makes no progress and was left as it is ({stall.reason})"
            return _Failure(at, text, stall.incident)
    return None


def _streak(own: Sequence[_Step], failures: Sequence[_Failure | None], last: int) -> list[_Failure]:
    """Return the failures up to the last one, without the engine being ready in between."""
    streak: list[_Failure] = []
    for index in reversed(range(last + 1)):
        if _came_to(own[index], "ready"):
            break
        if (failure := failures[index]) is not None:
            streak.insert(0, failure)
    return streak


def _awaited(own: Sequence[_Step]) -> str:
    """Return what a start waits for now, as it was said; empty if none does."""
    for step in reversed(own):
        match step.told:
            case EngineRoomAwaited(text=text):
                return f"it {text}"
            case EngineRoomWaitEnded() | EngineSpawned() | EngineAdopted():
                return ""
    return ""


def _state(own: Sequence[_Step]) -> str | None:
    changes = [step.told for step in own if isinstance(step.told, EngineStateChanged)]
    return changes[-1].state or None if changes else None


def _came_to(step: _Step, state: str) -> bool:
    return isinstance(step.told, EngineStateChanged) and step.told.state == state


def _nothing(engine: str, own: Sequence[_Step], state: str | None, now: float) -> FailureReport:
    if not own:
        return FailureReport(f"Nothing is known of {engine}: the history has no event of it.")
    ends = [step.at for step in own if isinstance(step.told, EngineExited)]
    since = f"since {moment(own[0].at)}, where its history begins"
    text = f"{engine} has not failed {since}{f'; it is {state}' if state else ''}."
    if ends:
        text += f" It ended last {_ago(ends[-1], now)} as requested."
    if awaited := _awaited(own):
        text += f" {_sentence(full_stop(awaited))}"
    return FailureReport(text, more=(_gap(own, 0.0),))


def _what_died(engine: str, failure: _Failure, before: Sequence[_Step], now: float) -> str:
    ready = next((step for step in reversed(before) if _came_to(step, "ready")), None)
    start = next((step for step in reversed(before) if _came_to(step, "starting")), None)
    served = ""
    if ready is not None and (start is None or ready.at >= start.at):
        served = f", after it had served for {format_duration(failure.at - ready.at)}"
    elif start is not None:
        served = f", {format_duration(failure.at - start.at)} after its start"
    when = f"{_ago(failure.at, now)}, at {moment(failure.at)}"
    return f"{engine} failed {when}{served}: it {failure.text}."


def _first_of(streak: Sequence[_Failure], failure: _Failure) -> str:
    if len(streak) < 2:
        return ""
    first = streak[0]
    text = f"It was failure {len(streak)} in a row"
    if first.cause != failure.cause:
        why = first.explanation or "for a cause that is not known."
        return f"{text}; the first one, at {moment(first.at)}, was another: {why}"
    same = len({each.cause for each in streak}) == 1
    return f"{text}, all of the same cause." if same else f"{text}."


def _how_often(failures: Sequence[_Failure | None], until: float) -> str:
    """Say how often it failed lately, although it was ready in between."""
    count = sum(each is not None and each.at >= until - HOUR_S for each in failures)
    return f"It was failure {count} within an hour." if count > 1 else ""


def _what_was_done(after: Sequence[_Step], now: float) -> str:
    done: list[str] = []
    for step in after:
        if words := _done(step, now):
            done.append(words)
        if _came_to(step, "ready"):
            break
    return f"{_sentence('; '.join(done))}." if done else "Nothing yet."


def _sentence(words: str) -> str:
    """Begin with a capital letter, and change nothing else."""
    return words[:1].upper() + words[1:]


def _done(step: _Step, now: float) -> str:
    words = ""
    match step.told:
        case EngineCacheMoved():
            words = "vLLM's compile cache was set aside"
        case EngineBackoffStarted(pause_s=pause_s):
            words = f"another start was planned after {format_duration(pause_s)}"
        case EngineHeld(retry_at=retry):
            again = f"; retry at {moment(retry)}" if retry and retry > now else ""
            words = f"it is not started again until that is fixed{again}"
        case EngineReleased(why=why):
            words = f"the hold ended ({why})"
        case RequestAccepted(action=action, user=user) if action in _ACTIONS:
            words = f"{user} asked to {action} it"
        case EngineRoomAwaited(text=text):
            words = f"since {moment(step.at, date=False)} it {text}"
        case EngineRoomWaitEnded(why=why, after_s=after_s):
            words = f"it waited no more after {format_duration(after_s)} ({why})"
        case WeightsRenewed(why=why):
            words = f"its weights are loaded anew ({why})"
        case WeightsUnresponsive(problem=problem, advice=advice):
            words = f"its weights may hold GPU memory: {problem} ({advice})"
        case WeightsNotLoaded(problem=problem):
            words = f"it loads its weights by itself: {problem}"
        case EngineSpawned():
            words = f"it was started again at {moment(step.at, date=False)}"
        case EngineStateChanged(state="ready"):
            words = f"it serves again since {moment(step.at, date=False)}"
    return words


def _gap(own: Sequence[_Step], since: float) -> str:
    """Say that the history is not whole around what is told."""
    for step in reversed(own):
        if step.at < since or type(step.told) not in _GAPS.values():
            continue
        when = moment(step.at)
        match step.told:
            case HistoryIncomplete(missing=missing):
                return f"{missing} events before {when} are lost (the disk did not keep them)."
            case HistorySetAside():
                return f"The history was damaged; a new one begins at {when}."
            case HistoryInterrupted(last_event_at=last):
                after = f" after {moment(last)}" if last else ""
                return f"vllmd itself was killed{after} and came back at {when}."
    return ""


def _span(since: float, now: float) -> str:
    return format_duration(max(0.0, now - since))


def _ago(at: float, now: float) -> str:
    passed_s = now - at
    return f"{format_duration(passed_s)} ago" if passed_s >= 1 else "a moment ago"


def moment(at: float, *, date: bool = True) -> str:
    """Write a moment in local time, such as ``2026-01-31 03:15:07 CET``."""
    try:
        local = datetime.fromtimestamp(at).astimezone()
    except (OverflowError, OSError, ValueError):  # of a row that was damaged
        return "a time that no clock shows"
    return local.strftime("%Y-%m-%d %H:%M:%S %Z" if date else "%H:%M:%S")
