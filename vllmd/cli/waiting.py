"""Wait until an engine is where it should be, telling a person what it does meanwhile."""

import shutil
import time
from collections.abc import Callable
from typing import Any

from vllmd.cli import terminal
from vllmd.control.client import ControlClient
from vllmd.engine.status_text import describe_state
from vllmd.errors import HeldError, TimedOutError
from vllmd.util.units import format_duration

POLL_S = 0.2
SETTLE_S = 0.5
"""A hold that was there before needs a moment to be released."""


def wait_until(
    client: ControlClient,
    name: str,
    goal: str,
    reached: Callable[[dict[str, Any]], bool],
    timeout_s: float,
) -> dict[str, Any]:
    """Poll the engine until `reached`.

    Returns: its status then.
    Raises: TimedOutError: not within `timeout_s` seconds; it may still happen. HeldError: it will
        not happen by itself.
    """
    started = time.monotonic()
    show = terminal.moves_cursor(err=True)
    while True:
        engine = client.engine(name)
        elapsed = time.monotonic() - started
        if reached(engine):
            _clear(show)
            return engine
        if engine["state"] == "held" and elapsed > SETTLE_S:
            _clear(show)
            raise HeldError(f"{name} is held: {engine['hold']['reason']}")
        if elapsed > timeout_s:
            _clear(show)
            raise TimedOutError(
                f"{name} is {describe_state(engine)}, not {goal}, "
                f"after {format_duration(elapsed)}; "
                f"look at 'vllmd status' and 'vllmd logs {name}'"
            )
        if show:
            text = f"{name}: {describe_state(engine)} ({format_duration(elapsed)})"
            if printing := engine.get("printing"):
                text += f"  {printing}"
            width = shutil.get_terminal_size().columns - 1
            terminal.replace_line(text[:width])
        time.sleep(POLL_S)


def _clear(show: bool) -> None:
    if show:
        terminal.replace_line()
