"""What `start`, `stop` and `restart` have in common."""

from collections.abc import Callable
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.options import chosen_engine, engine_argument, socket_option
from vllmd.cli.waiting import wait_until
from vllmd.control.client import ControlClient


def timeout_option(default: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--timeout` with its default."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=default,
        show_default=True,
        help="How long to wait, in seconds.",
    )


def starting(action: str, text: str) -> click.Command:
    """Make the command of an action after which an engine is to serve; `text` is its help."""

    @click.command(help=text)
    @engine_argument
    @click.option("--wait", is_flag=True, help="Return when the engine serves.")
    @timeout_option(1800.0)
    @socket_option
    def command(engine: str | None, wait: bool, timeout: float, client: ControlClient) -> None:
        act(client, chosen_engine(client, engine), action, "ready" if wait else None, timeout)

    return command


def act(
    client: ControlClient,
    name: str,
    action: str,
    goal: str | None,
    timeout_s: float,
    **options: str,
) -> None:
    """Ask for an action, and wait for the state `goal` if there is one."""
    before = client.engine(name)["run_id"]
    answer = client.act(name, action, **options)
    if answer["warning"]:
        terminal.echo(f"vllmd: {answer['warning']}", err=True)
    if goal is None:
        terminal.echo(f"{name}: {action} requested")
        return

    def reached(engine: dict[str, Any]) -> bool:
        renewed = action != "restart" or engine["run_id"] != before
        return bool(engine["state"] == goal and renewed and not _gives_up_weights(engine, action))

    refused = None if action == "stop" else _refused_by_group
    engine = wait_until(client, name, goal, reached, timeout_s, refused)
    terminal.echo(f"{name}: {engine['state']}")


def _refused_by_group(engine: dict[str, Any]) -> str | None:
    """Return what the head of its group does not do, of what was just asked for."""
    group = engine.get("group")
    return group.get("refused") if group else None  # not of an older daemon


def _gives_up_weights(engine: dict[str, Any], action: str) -> bool:
    """Tell whether a stop is not over: weights that it gives up are still in GPU memory."""
    weights = engine.get("weights")  # not of an older daemon
    return action == "stop" and bool(weights and weights["run_id"] and not weights["kept"])
