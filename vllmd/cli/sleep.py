"""`vllmd sleep`: have an engine give its GPU memory back."""

from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.acting import timeout_option
from vllmd.cli.options import chosen_engine, engine_argument, json_option, socket_option
from vllmd.cli.waiting import wait_until
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.engine.status_text import describe_sleep


@click.command()
@engine_argument
@click.option(
    "--level",
    type=click.IntRange(1, 2),
    help="1: its weights go to the host's memory; 2: they are dropped, and read again at the next "
    "wake. By default as configured.",
)
@click.option("--no-wait", is_flag=True, help="Return at once.")
@json_option
@timeout_option(900.0)
@socket_option
def command(
    engine: str | None,
    level: int | None,
    no_wait: bool,
    as_json: bool,
    timeout: float,
    client: ControlClient,
) -> None:
    """Put an engine to sleep; returns when it has given its GPU memory back.

    Its requests finish first; one that is still busy after drain_s serves on. It needs the table
    [engines.NAME.sleep]. It stays asleep until `vllmd wake`, or until its schedule changes.
    """
    options = {} if level is None else {"level": str(level)}
    change(client, chosen_engine(client, engine), "sleep", no_wait, as_json, timeout, **options)


def change(
    client: ControlClient,
    name: str,
    action: str,
    no_wait: bool,
    as_json: bool,
    timeout_s: float,
    **options: str,
) -> None:
    """Ask for `sleep` or `wake`, and wait until it is done or refused."""
    goal = State.SLEEPING if action == "sleep" else State.READY
    answer = client.act(name, action, **options)
    if answer["warning"]:
        terminal.echo(f"vllmd: {answer['warning']}", err=True)
    engine = answer["engine"]
    if not no_wait:
        engine = wait_until(client, name, goal, lambda found: _is(found, goal), timeout_s, _refused)
    if as_json:
        terminal.echo_json({"engine": name, "state": engine["state"], "sleep": engine["sleep"]})
    elif no_wait:
        terminal.echo(f"{name}: {action} requested")
    else:
        sleep = engine["sleep"]  # none, of an engine without sleep mode that another put to sleep
        terminal.echo(f"{name}: {engine['state']}{f'; {describe_sleep(sleep)}' if sleep else ''}")


def _is(engine: dict[str, Any], goal: State) -> bool:
    return bool(engine["state"] == goal and (goal is State.READY or engine["sleep"]["settled"]))


def _refused(engine: dict[str, Any]) -> str | None:
    sleep = engine.get("sleep") or {}
    why: str | None = sleep.get("refused")
    return why
