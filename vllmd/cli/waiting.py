"""Wait until an engine is where it should be, telling a person what it does meanwhile."""

import shutil
import time
from collections.abc import Callable
from typing import Any

from vllmd.cli import terminal
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.engine.status_text import describe_state
from vllmd.errors import HeldError, TimedOutError, VllmdError
from vllmd.util.terminal_text import full_stop
from vllmd.util.units import format_duration

POLL_S = 0.2
MOST_FAILURES = 2
"""Failures of a start after which waiting ends: the first may have been chance."""
SETTLE_S = 0.5
"""A hold that was there before needs a moment to be released."""


def wait_until(
    client: ControlClient,
    name: str,
    goal: str,
    reached: Callable[[dict[str, Any]], bool],
    timeout_s: float,
    refused: Callable[[dict[str, Any]], str | None] | None = None,
) -> dict[str, Any]:
    """Poll the engine until `reached`; `refused` says why that was given up.

    Returns: its status then.
    Raises: TimedOutError: not within `timeout_s` seconds; it may still happen. HeldError: it will
        not happen by itself. VllmdError: it failed more than once meanwhile.
    """
    started = time.monotonic()
    failures: dict[str, dict[str, Any]] = {}
    before: str | None = None
    show = terminal.moves_cursor(err=True)
    while True:
        engine = client.engine(name)
        elapsed = time.monotonic() - started
        if reached(engine):
            _clear(show)
            return engine
        if (why := refused and refused(engine)) is not None:
            _clear(show)
            raise HeldError(f"{name} is {describe_state(engine)}: {why}")
        if engine["state"] == State.HELD and elapsed > SETTLE_S:
            _clear(show)
            raise HeldError(f"{name} is held: {engine['hold']['reason']}")
        last = _failure(engine)
        before = (last or {}).get("run_id", "") if before is None else before
        if last and last["run_id"] != before and goal == State.READY:
            failures[last["run_id"]] = last
            if len(failures) >= MOST_FAILURES and engine["state"] != State.HELD:
                _clear(show)
                raise VllmdError(f"{name} failed: {_cause(engine, last)}")
        if elapsed > timeout_s:
            _clear(show)
            raise TimedOutError(_not_reached(engine, goal, elapsed))
        if show:
            text = f"{name}: {describe_state(engine)} ({format_duration(elapsed)})"
            if printing := engine.get("printing"):
                text += f"  {printing}"
            width = shutil.get_terminal_size().columns - 1
            terminal.replace_line(text[:width])
        time.sleep(POLL_S)


def _not_reached(engine: dict[str, Any], goal: str, elapsed: float) -> str:
    name, after, last = engine["name"], format_duration(elapsed), _failure(engine)
    weights = engine.get("weights")  # not of an older daemon
    if engine["state"] == goal and weights:
        return f"{name} is {goal}, and its weights are not given up after {after}: " + (
            weights["problem"] or f"look at 'vllmd logs {name} --weights'"
        )
    more = _cause(engine, last) if last else f"look at 'vllmd logs {name}'"
    return f"{name} is {describe_state(engine)}, not {goal}, after {after}; {more}"


def _failure(engine: dict[str, Any]) -> dict[str, Any] | None:
    """Return the last exit, if that was a failure."""
    last = engine.get("last_exit")
    return last if last and not last["requested"] else None


def _cause(engine: dict[str, Any], failure: dict[str, Any]) -> str:
    """Say how it ended, why, and what comes next."""
    found = failure["diagnosis"]
    said = full_stop(failure["text"])
    if found:
        said += f" {found['cause']}: {full_stop(found['explanation'])} {full_stop(found['advice'])}"
    again = engine["next_start_at"] or (engine["hold"] or {}).get("retry_at")
    if again:
        said += f" It is started again in {format_duration(again - time.time())}."
    return f"{said} 'vllmd why {engine['name']}' has more"


def _clear(show: bool) -> None:
    if show:
        terminal.replace_line()
