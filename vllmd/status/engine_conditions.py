"""The conditions of engines: which does not serve, or not as it should, and why. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.engine.causes import BY_NAME
from vllmd.engine.group_interface import UNREACHABLE, UNREADABLE
from vllmd.engine.state_machine import State
from vllmd.monitoring.settings import RuleSettings
from vllmd.status.reasons import some_of
from vllmd.util.units import HOUR_S, MINUTE_S

Document = Mapping[str, Any]
SETTINGS = RuleSettings()
LOAD_STALLED = BY_NAME["load_stalled"]
STARTED = frozenset(State) - {State.STOPPED, State.UNREACHABLE, State.BACKOFF, State.WAITING}
"""States of an engine that is there, or on its way, or has a condition of its own."""
ON_ITS_WAY = frozenset({State.STARTING, State.LOADING, State.READY, State.SLEEPING})
"""States of an engine that waits for no memory any more."""
UNHEARD = frozenset({UNREACHABLE, UNREADABLE})
BETWEEN_RUNS_S = 2 * MINUTE_S
"""How long the alert waits: a restart is `stopped` for a moment, which is no outage by itself."""
UNCHECKED_S = HOUR_S
"""How long the alert waits: a start is asked at once, and what does not answer again and again."""


@attrs.frozen
class ActiveCondition:
    """One thing that is true now: of an engine, of a GPU, or of the host."""

    text: str
    engine: str | None = None
    gpu: str | None = None


Test = Callable[[Document], Iterator[ActiveCondition]]


def _engines(document: Document, wanted: bool = True) -> Iterator[Mapping[str, Any]]:
    for engine in document["engines"]:
        if engine["looked_for"] and (engine["wanted"] or not wanted):
            yield engine


def _down(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        turn = (engine["sleep"] or {}).get("turn_of")
        waits = engine["awaited_memory"] or engine["awaited_load"] or turn or _awaited(engine)
        for_s = document["at"] - engine["since"]
        between_runs = engine["state"] == State.STOPPED and for_s < BETWEEN_RUNS_S
        if engine["state"] not in STARTED and not waits and not between_runs:
            why = f": {engine['reason']}" if engine["reason"] else ""
            yield ActiveCondition(f"{engine['name']} is down{why}", engine["name"])


def _awaited(engine: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the host of its group that an engine waits for."""
    found: Mapping[str, Any] | None = (engine["group"] or {}).get("awaited")
    return found


def _group_incomplete(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        of = _awaited(engine)
        if of is None or of["state"] == State.STOPPED:
            continue
        # a head that answers tells it itself
        if engine["group"]["role"] == "head" or of["state"] in UNHEARD:
            text = f"{engine['name']} does not serve, as its group lacks a host"
            why = f": {engine['reason']}" if engine["reason"] else ""
            yield ActiveCondition(f"{text}{why}", engine["name"])


def _held(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        if engine["state"] == State.HELD:
            yield ActiveCondition(f"{engine['name']} is held: {engine['reason']}", engine["name"])


def _of_engine(text: str, holds: Callable[[Mapping[str, Any]], object]) -> Test:
    """Return the test of engines of which something `holds`; `text` has a place for the name."""

    def test(document: Document) -> Iterator[ActiveCondition]:
        for engine in _engines(document, wanted=False):
            if holds(engine):
                yield ActiveCondition(text.format(engine["name"]), engine["name"])

    return test


def _weights_state(engine: Mapping[str, Any]) -> Any:
    return (engine["weights"] or {}).get("state")


def _load_stalled(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        why = (engine["last_exit"] or {}).get("diagnosis")
        if not engine["up"] and why and why["cause"] == LOAD_STALLED.name:
            text = f"{engine['name']} stopped in the middle of its last load, and does not serve"
            yield ActiveCondition(text, engine["name"])


def _unchecked(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document, wanted=False):
        verdict = (engine["probe"] or {}).get("verdict")
        long = document["at"] - engine["since"] >= UNCHECKED_S
        if engine["up"] and verdict in ("unknown", "not_applicable") and long:
            text = f"the answers of {engine['name']} are not looked at: see 'vllmd probe'"
            yield ActiveCondition(text, engine["name"])


def _awaits_memory(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document):
        if engine["awaited_memory"] and engine["state"] not in ON_ITS_WAY:
            gpu = engine["awaited_memory"]["gpu"]
            yield ActiveCondition(f"{engine['name']} {engine['reason']}", engine["name"], gpu)


def _adapters_missing(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document, wanted=False):
        missing = engine["up"] and engine["adapters"] and engine["adapters"]["missing"]
        if missing:
            of = f"{len(missing)} of {engine['adapters']['wanted']} adapters"
            text = f"{engine['name']} serves without {of}: {some_of(missing)}"
            yield ActiveCondition(text, engine["name"])


def _kv_cache(document: Document) -> Iterator[ActiveCondition]:
    for engine in _engines(document, wanted=False):
        usage = engine["kv_cache_usage"]
        if usage is not None and usage > SETTINGS.kv_ratio and engine["requests_waiting"]:
            text = f"{engine['name']}: the KV cache is {usage:.0%} full, and requests wait for it"
            yield ActiveCondition(text, engine["name"])


def _log_dropped(document: Document) -> Iterator[ActiveCondition]:
    for engine in document["engines"]:
        if engine["log_problem"]:
            text = f"the disk does not take the log of {engine['name']}"
            yield ActiveCondition(text, engine["name"])


ENGINE_CONDITIONS: Mapping[str, Test] = {
    "VllmdEngineHeld": _held,
    "VllmdEngineStalled": _of_engine(
        "{} has work and makes no progress", lambda engine: engine["state"] == State.STALLED
    ),
    "VllmdWrongAnswers": _of_engine(
        "{} gives wrong answers: see 'vllmd probe'",
        lambda engine: engine["up"] and (engine["probe"] or {}).get("verdict") == "wrong",
    ),
    "VllmdAnswersUnchecked": _unchecked,
    "VllmdEngineAwaitsMemory": _awaits_memory,
    "VllmdEngineLoadStalled": _load_stalled,
    "VllmdEngineDown": _down,
    "VllmdGroupIncomplete": _group_incomplete,
    "VllmdWeightsLost": _of_engine(
        "{} serves, and its weights are kept no more",
        lambda engine: (
            engine["up"]
            and not engine["command_changed"]
            and _weights_state(engine) in ("absent", "incomplete")
        ),
    ),
    "VllmdWeightsUnresponsive": _of_engine(
        "what keeps the weights of {} does not answer",
        lambda engine: _weights_state(engine) == "unresponsive",
    ),
    "VllmdKvCacheSaturated": _kv_cache,
    "VllmdAdapterNotLoaded": _adapters_missing,
    "VllmdPageUnread": _of_engine(
        "{} serves, but its metrics cannot be read",
        lambda engine: engine["up"] and engine["page_up"] is False,
    ),
    "VllmdLogsDropped": _log_dropped,
}
"""By the name of the alert."""
