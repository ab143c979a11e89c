"""Wait until an engine is where it should be, telling a person what it does meanwhile."""

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from vllmd.control.client import ControlClient
from vllmd.errors import TimedOutError
from vllmd.units import format_duration

POLL_S = 0.2


def wait_until(
    client: ControlClient,
    name: str,
    goal: str,
    reached: Callable[[dict[str, Any]], bool],
    timeout_s: float,
) -> dict[str, Any]:
    """Poll the engine until `reached`.

    Returns: its status then.
    Raises: TimedOutError: not within `timeout_s` seconds; it may still happen.
    """
    started = time.monotonic()
    show = sys.stderr.isatty()
    while True:
        engine = client.engine(name)
        elapsed = time.monotonic() - started
        if reached(engine):
            _clear(show)
            return engine
        if elapsed > timeout_s:
            _clear(show)
            raise TimedOutError(
                f"{name} is {_describe(engine)}, not {goal}, after {format_duration(elapsed)}; "
                f"look at 'vllmd status' and 'vllmd logs {name}'"
            )
        if show:
            text = f"{name}: {_describe(engine)} ({format_duration(elapsed)})"
            click.echo(f"\r\033[K{text}", nl=False, err=True)
        time.sleep(POLL_S)


def _describe(engine: dict[str, Any]) -> str:
    phase = f" ({engine['phase']})" if engine["phase"] else ""
    return f"{engine['state']}{phase}"


def _clear(show: bool) -> None:
    if show:
        click.echo("\r\033[K", nl=False, err=True)
