"""Why an engine is in its state, in one sentence: the second line of a table. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vllmd.engine.doubts import Doubt
from vllmd.engine.state_machine import ENDED, State
from vllmd.engine.status import EngineStatus
from vllmd.engine.weights.state import WeightsState
from vllmd.util.units import format_bytes, format_duration

NAMED = 3
"""Adapters that are named; of the others only the number."""
_OVER = "its run has ended: what is left of it is ended now, and it is looked into why"
_STATE_SAYS = {
    State.UNREACHABLE: "its API answered before, and does not now",
    State.STALLED: "it has work and makes no progress",
}


def reason(
    status: EngineStatus,
    adapters: Mapping[str, Any] | None,
    doubts: Sequence[Doubt],
    now: float,
) -> str | None:
    """Return the reason without a full stop; None if there is nothing to say.

    `adapters` are counts as `document.adapter_counts` has them; `now` is seconds since the epoch.
    """
    asked: tuple[Callable[[], str | None], ...] = (
        lambda: None if status.looked_for else "it is not known yet how it stands",
        lambda: _OVER if status.is_over else None,
        lambda: _of_waiting(status),
        lambda: _of_turn(status),
        lambda: _of_group_awaited(status),
        lambda: _STATE_SAYS.get(status.state),
        lambda: _of_sleep(status),
        lambda: _of_serving(status, adapters),
        lambda: _of_doubts(doubts),
        lambda: _of_failure(status, now),
        lambda: _of_stopped(status),
    )
    return next((said for each in asked if (said := each()) is not None), None)


def _of_waiting(status: EngineStatus) -> str | None:
    if status.hold is not None:
        return status.hold.reason.rstrip(".")
    if status.awaited_load is not None:
        return f"waits until {status.awaited_load} has loaded, with which it shares a GPU"
    weights = status.weights.state if status.weights else None
    if weights is WeightsState.UNRESPONSIVE and status.state in ENDED:
        return "what keeps its weights does not answer, and may hold GPU memory"
    if weights is WeightsState.LOADING and status.wanted and status.state in ENDED:
        return "its weights are loaded first"
    if (shortage := status.awaited_memory) is None:
        return None
    held = f", held by {', '.join(shortage.holders)}" if shortage.holders else ""
    return f"waits for {format_bytes(shortage.missing_bytes)} more on GPU {shortage.gpu}{held}"


def _of_turn(status: EngineStatus) -> str | None:
    turn_of = status.sleep.turn_of if status.sleep else None
    return f"waits for its turn: {turn_of} is awake in its place" if turn_of else None


def _of_group_awaited(status: EngineStatus) -> str | None:
    return status.group.waits_for if status.group and status.state is State.WAITING else None


def _of_sleep(status: EngineStatus) -> str | None:
    sleep = status.sleep
    if status.state is not State.SLEEPING:
        return None
    said = "it was put to sleep, and serves nothing until it is woken"
    if sleep is None or sleep.asleep_at is None:
        return said
    if sleep.freed_bytes:
        said += f"; it gave back {format_bytes(sleep.freed_bytes)} of GPU memory"
    return f"{said}: 'vllmd wake {status.name}' wakes it"


def _of_serving(status: EngineStatus, adapters: Mapping[str, Any] | None) -> str | None:
    if status.state is not State.READY:
        return None
    if status.wrong_answers is not None:
        return f"its answers are wrong, and it is to take no requests: {status.wrong_answers}"
    if status.no_step_s is not None:
        return f"requests run, and no step was made for {format_duration(status.no_step_s)}"
    if status.rank_doubt is not None:
        return status.rank_doubt
    if (said := _of_group(status)) is not None:
        return said
    missing = adapters["missing"] if adapters else ()
    return f"adapters are not loaded: {some_of(missing)}" if missing else None


def _of_group(status: EngineStatus) -> str | None:
    group = status.group
    if group is None:
        return None
    if group.red is not None:
        return f"it is to take no requests: {group.red}"
    if group.doubt is not None:
        return group.doubt
    found = [f"{host}: {problem}" for host, problem in group.silent.items()]
    return f"hosts of its group are not heard of: {some_of(found)}" if found else None


def _of_doubts(doubts: Sequence[Doubt]) -> str | None:
    errors = [doubt for doubt in doubts if doubt.severity == "error"]
    return f"will probably fail: {errors[0].found.rstrip('.')}" if errors else None


def _of_failure(status: EngineStatus, now: float) -> str | None:
    end = status.last_exit
    if status.state is not State.BACKOFF or end is None or end.requested:
        return None
    text = end.diagnosis.explanation.rstrip(".") if end.diagnosis else end.describe()
    return f"failed {format_duration(max(0.0, now - end.at))} ago: {text}"


def _of_stopped(status: EngineStatus) -> str | None:
    if status.state is not State.STOPPED or status.wanted:
        return None
    return f"stopped as requested: 'vllmd start {status.name}' starts it"


def some_of(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
