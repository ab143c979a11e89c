"""`vllmd events`: what happened, oldest first."""

import importlib
import json
import pkgutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd import events
from vllmd.cli import terminal
from vllmd.cli.history_source import LevelType, find_events
from vllmd.cli.moment import MomentType
from vllmd.cli.options import (
    complete_engine,
    config_option,
    json_option,
    socket_option,
    utc_option,
)
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError
from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent
from vllmd.history.reading import LEVELS, EventFilter

FOLLOW_POLL_S = 0.5
COLOURS = {"warning": "yellow", "error": "red"}


def _complete_name(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the events that there are."""
    for module in pkgutil.iter_modules(events.__path__, f"{events.__name__}."):
        importlib.import_module(module.name)
    names = {kind.name for kind in TypedEvent.__subclasses__()}
    return sorted(name for name in names if name and name.startswith(incomplete))


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@config_option
@socket_option
@click.option(
    "--since",
    type=MomentType(),
    default="24h",
    show_default=True,
    help="Only from then on: 2h, yesterday, or a date.",
)
@click.option("--until", type=MomentType(), default=None, help="Only until then.")
@click.option("--level", type=LevelType(LEVELS), help="This level and above.")
@click.option(
    "--name",
    "names",
    multiple=True,
    shell_complete=_complete_name,
    help="Only events of that name; 'engine.*' is a pattern.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Show the newest N.",
)
@click.option("-f", "--follow", is_flag=True, help="Follow: show new events as they come.")
@utc_option
@json_option
def command(
    engine: str | None,
    client: ControlClient,
    config_path: Path,
    since: float,
    until: float | None,
    level: str | None,
    names: tuple[str, ...],
    lines: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show the events of the daemon and its engines, oldest first.

    Asks the daemon; when it is down, its history is read from the file. With --json each event is
    one line.
    """
    wanted = EventFilter(since, until, engine, level, names, limit=lines)
    while True:
        try:
            found = find_events(client, config_path, wanted)
        except DaemonUnreachableError:
            if wanted.after_id == 0:  # else it is away for a moment
                raise
            found = []
        for event in found:
            if as_json:
                terminal.echo_json(event.to_json())
            else:
                for line in describe(event):
                    terminal.echo(line)
            wanted = attrs.evolve(wanted, after_id=event.id)
        if not follow:
            return
        time.sleep(FOLLOW_POLL_S)


def describe(event: Event) -> list[str]:
    """Return an event as one line: when, how grave, whose, what, and its fields.

    A terminal that is narrower gets it in several.
    """
    when = f"{datetime.fromtimestamp(event.at):%Y-%m-%d %H:%M:%S}  "
    level = f"{event.level:<7}"
    rest = f"  {event.engine or '-':<10}  {event.name}  {describe_fields(event)}"
    first, *more = terminal.wrap(f"{when}{level}{rest}", rest="    ")
    coloured = terminal.style(level, fg=COLOURS.get(event.level))
    return [f"{when}{coloured}{first[len(when) + len(level) :]}", *more]


def describe_fields(event: Event) -> str:
    """Return what an event says, such as ``phase=weights left_s=12``."""
    shown = {k: v for k, v in event.fields.items() if v not in (None, [], "")}
    return " ".join(f"{key}={_value(value)}" for key, value in shown.items())


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.replace("\n", "\\n")
    return json.dumps(text) if " " in text and isinstance(value, str) else text
