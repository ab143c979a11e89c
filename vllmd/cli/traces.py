"""`vllmd traces`: the slowest requests."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.options import complete_engine, json_option, socket_option
from vllmd.cli.table import fitted, join
from vllmd.control.client import ControlClient
from vllmd.util.units import format_duration

RANKS = {
    "ttft": ("time_to_first_token", "time to first token"),
    "tpot": ("time_per_output_token", "time per output token"),
    "queue": ("queue", "time in the queue"),
    "total": ("e2e", "time in all"),
}
_HEADER = ["TTFT", "TPOT", "QUEUE", "PREFILL", "DECODE", "TOTAL", "TOKENS", "ENGINE", "ADAPTER"]
_HEADER += ["REQUEST", "TRACE"]
_LEAST_WANTED = ("TRACE", "DECODE", "PREFILL", "REQUEST", "ADAPTER", "TOKENS")
_COLUMNS = ("time_to_first_token", "time_per_output_token", "queue", "prefill", "decode", "e2e")


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option(
    "--by",
    "ranks",
    type=click.Choice(list(RANKS)),
    multiple=True,
    help="Only this ranking; repeatable.",
)
@click.option("--last", is_flag=True, help="The last whole window, not the one under way.")
@socket_option
@json_option
def command(
    client: ControlClient, engine: str | None, ranks: tuple[str, ...], last: bool, as_json: bool
) -> None:
    """Show the slowest requests, and by what each is among them: --by shows one ranking.

    They are those of the window under way, or of the last one if nothing has come since. A request
    that its client gave up has no span, and is not among them.
    """
    shown = client.traces()
    if as_json:
        terminal.echo_json(shown, indent=2)
        return
    if shown["problem"]:
        terminal.echo(
            terminal.style(f"spans are not received: {shown['problem']}", fg="red"), err=True
        )
    window = shown["last"] if last else shown["current"] or shown["last"]
    if window is None:
        terminal.echo("no request has finished yet; vllmd check shows whether spans are sent")
        return
    lines = rankings(window, engine, ranks) if ranks else every(window, engine)
    for line in (about(window, time.time()), *lines):
        terminal.echo(line)


def about(window: dict[str, Any], now: float) -> str:
    """Say how many a window has, and when it was."""
    ended = window["ended_at"]
    length = format_duration((ended or now) - window["started_at"])
    when = f", ended {format_duration(now - ended)} ago" if ended else ", under way"
    return f"{window['requests']} sequences in {length}{when}"


def slowest(window: dict[str, Any], engine: str | None) -> list[tuple[dict[str, Any], list[str]]]:
    """Return each of the slowest once, with the rankings that it is in; the longest first."""
    found: dict[tuple[str, str], tuple[dict[str, Any], list[str]]] = {}
    for rank, (key, _) in RANKS.items():
        for request in window["slowest"][key]:
            if engine in (None, request["engine"]):
                own = request["trace_id"], request["request_id"] or ""
                found.setdefault(own, (request, []))[1].append(rank)
    return sorted(found.values(), key=lambda each: each[0]["e2e"] or 0.0, reverse=True)


def table(listed: Sequence[tuple[dict[str, Any], list[str]]], columns: int | None) -> list[str]:
    """Return the lines of what `slowest` returns, a header first."""
    rows = [[*_row(request), ", ".join(ranks)] for request, ranks in listed]
    header = [*_HEADER, "SLOWEST BY"]
    return [join(cells) for cells in fitted(header, rows, columns, _LEAST_WANTED)]


def every(window: dict[str, Any], engine: str | None) -> Iterator[str]:
    """Yield the lines of each of the slowest once."""
    if listed := slowest(window, engine):
        yield ""
        yield from table(listed, terminal.width())


def rankings(window: dict[str, Any], engine: str | None, ranks: tuple[str, ...]) -> Iterator[str]:
    """Yield the rankings, each with its own table."""
    for rank in ranks:
        key, title = RANKS[rank]
        listed = [r for r in window["slowest"][key] if engine in (None, r["engine"])]
        if not listed:
            continue
        yield ""
        yield terminal.style(f"slowest by {title}", bold=True)
        rows = [_row(request) for request in listed]
        for cells in fitted(_HEADER, rows, terminal.width(), _LEAST_WANTED):
            yield join(cells)


def _row(request: dict[str, Any]) -> list[str]:
    times = [_seconds(request[name]) for name in _COLUMNS]
    prompt, completion = request["prompt_tokens"], request["completion_tokens"]
    tokens = f"{_count(prompt)}+{_count(completion)}"
    about = [tokens, request["engine"], request["adapter"], request["request_id"] or "-"]
    return [*times, *about, request["trace_id"]]


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.1f}ms" if value < 1 else f"{value:.2f}s"


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"
