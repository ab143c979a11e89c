"""`vllmd advise`: which settings to change, from what engines have shown."""

import math
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import click

from vllmd.advise.rules import MIN_REQUESTS, MIN_WATCHED_S
from vllmd.cli import terminal
from vllmd.cli.moment import MomentType
from vllmd.cli.options import complete_engine, json_option, socket_option
from vllmd.control.client import ControlClient
from vllmd.errors import UnknownEngineError
from vllmd.monitoring.settings import RuleSettings
from vllmd.util.units import format_duration

WIDEST = 100
LABELS = {"why": "Why", "effect": "Effect", "risk": "Risk"}
COLUMN = 10


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option(
    "--since",
    type=MomentType(),
    default="7d",
    show_default=True,
    help="Only from that day on: 2d, yesterday, or a date.",
)
@click.option(
    "--ttft",
    "first_token_s",
    type=float,
    default=RuleSettings().ttft_s,
    show_default=True,
    metavar="SECONDS",
    help="A first token that takes longer is late, as for 'vllmd rules export'.",
)
@socket_option
@json_option
def command(
    client: ControlClient,
    engine: str | None,
    since: float,
    first_token_s: float,
    as_json: bool,
) -> None:
    """Say which settings to change, from what engines have shown.

    At most three changes for an engine, each with the figures that speak for it, what it brings,
    what it may cost, and the change of the file. Only what was seen with the engine's present
    command counts. Nothing is changed: edit the file, then run 'vllmd check', 'vllmd reload' and
    'vllmd restart'.
    """
    if not (math.isfinite(first_token_s) and first_token_s > 0):
        raise click.BadParameter(f"{first_token_s} is no time above 0", param_hint="--ttft")
    report = client.advise(since, time.time(), first_token_s)
    if engine is not None:
        known = [each["engine"] for each in report["engines"]]
        if engine not in known:
            raise UnknownEngineError.among(engine, known)
        report["engines"] = [each for each in report["engines"] if each["engine"] == engine]
    if as_json:
        terminal.echo_json(report, indent=2)
        return
    for index, each in enumerate(report["engines"]):
        for line in ([""] if index else []) + list(lines(each)):
            terminal.echo(line)


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """Write what is said of one engine for people."""
    yield terminal.style(f"{shown['engine']}: {_seen(shown)}", bold=True)
    if not shown["advice"]:
        yield _nothing(shown)
    for number, each in enumerate(shown["advice"], start=1):
        yield ""
        yield terminal.style(f"{number}. {_change(each)}", bold=True)
        for name, label in LABELS.items():
            yield from _labelled(label, each[name])
        yield from _file(each)
    if shown["advice"]:
        yield ""
        yield f"then: vllmd check && vllmd reload && vllmd restart {shown['engine']}"


def _seen(shown: dict[str, Any]) -> str:
    observed = shown["observed"]
    if not observed["watched_s"]:
        return "not seen with its present command"
    text = f"{shown['requests']:,.0f} requests in {format_duration(observed['watched_s'])}"
    return f"{text}, seen since {shown['first_day']}"


def _nothing(shown: dict[str, Any]) -> str:
    if shown["enough"]:
        return "nothing to change"
    least = f"{format_duration(MIN_WATCHED_S)} and {MIN_REQUESTS} requests"
    other = shown["other_commands_s"]
    before = f"; {format_duration(other)} with another command do not count" if other else ""
    return f"too little to say anything: {least} are needed{before}"


def _change(each: dict[str, Any]) -> str:
    key = ".".join(each["key"])
    if each["value"] is None:
        return f"take {key} out"
    now = "not set" if each["now"] is None else each["now"]
    return f"{key} = {each['value']} (now {now})"


def _labelled(label: str, text: str) -> Iterator[str]:
    width = min(terminal.width() or 80, WIDEST)
    first, rest = f"   {label}".ljust(COLUMN), " " * COLUMN
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _file(each: dict[str, Any]) -> Iterator[str]:
    if each["diff"] is None:
        yield from _labelled(
            "File", "no lines of it are shown to you, or none is certain: edit it by hand"
        )
        return
    for line in each["diff"].splitlines():
        colour = {"+": "green", "-": "red"}.get(line[:1])
        yield terminal.style(f"   {line}", colour) if colour else f"   {line}"
