"""`vllmd probe`: look at an engine's answers now."""

import math
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.options import chosen_engine, engine_argument, json_option, socket_option
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.util.units import format_duration

SHOWN = 4
COLOURS = {"right": "green", "wrong": "red"}


@click.command()
@engine_argument
@click.option(
    "--record",
    is_flag=True,
    help="Take its present answers for right: later ones are compared with them.",
)
@json_option
@socket_option
def command(engine: str | None, record: bool, as_json: bool, client: ControlClient) -> None:
    """Look whether an engine's answers are right.

    It is asked a few fixed prompts, and what comes is compared with the answers that were recorded,
    by the probabilities of their tokens. It needs the table [engines.NAME.probe]. Fails with exit
    code 1 if the answers are wrong, if nothing was found now (`problem` with --json), or if they
    were to be recorded and are not.
    """
    found = client.probe(chosen_engine(client, engine), record=record)
    if as_json:
        terminal.echo_json(found, indent=2)
    else:
        for line in lines(found, time.time()):
            terminal.echo(line)
    if problem := found.get("problem"):
        raise VllmdError(f"nothing was found now of the answers of {found['engine']}: {problem}")
    if found["verdict"] == "wrong" or (record and not found.get("recorded", True)):
        sys.exit(VllmdError.exit_code)


def lines(found: dict[str, Any], now: float) -> Iterator[str]:
    """Write what was found for people; `now` is seconds since the epoch."""
    before = " before" if found.get("problem") and found["verdict"] != "unknown" else ""
    verdict = found["verdict"].replace("_", " ") + before
    colour = COLOURS.get(found["verdict"])
    yield terminal.style(f"{found['engine']}: answers {verdict}", colour, bold=True)
    if found["distance"] is not None:
        overlap = "" if found["overlap"] is None else f", {found['overlap']:.0%} of tokens the same"
        limit = f"{found['limit']:.3f} allowed"
        yield f"distance   {found['distance']:.3f} nats from the reference ({limit}){overlap}"
    if found["recorded_at"] is not None:
        ago = format_duration(max(0.0, now - found["recorded_at"]))
        version = f", vLLM {found['recorded_with']}" if found["recorded_with"] else ""
        yield f"reference  recorded {ago} ago by {found['recorded_by']}{version}"
    times = f"{found['asked']} times since the daemon began"
    yield f"asked      {times}, {found['mismatches']} not as recorded"
    if found["found"]:
        width = min(terminal.width() or 80, 100)
        text = f"found      {found['found']}"
        yield from textwrap.wrap(text, width, subsequent_indent=" " * 11, break_on_hyphens=False)
    if found["prompt"] is not None and found["distance"]:
        yield f"most in    prompt {found['prompt'] + 1}, token {found['token'] + 1}"
        yield f"expected   {_tokens(found['expected'])}"
        yield f"given      {_tokens(found['given'])}"


def _tokens(likely: list[dict[str, float]]) -> str:
    return ", ".join(
        f"{each['token']} ({math.exp(each['logprob']):.1%})" for each in likely[:SHOWN]
    )
