"""`vllmd status`: the engines in a table."""

import time
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.options import json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.control.client import ControlClient
from vllmd.engine.status_text import describe_log_problem, describe_state
from vllmd.util.failure_report import full_stop
from vllmd.util.units import format_duration

_COLOURS = {
    "ready": "green",
    "stopped": "white",
    "backoff": "red",
    "held": "red",
    "stalled": "red",
    "unreachable": "red",
}

LATE_S = 1.0
LATE_MEANS = (
    "the host is overloaded, or vllmd was stopped; what is said of engines may be old, and none is "
    "judged by this time"
)


@click.command()
@socket_option
@json_option
def command(client: ControlClient, as_json: bool) -> None:
    """Show the engines: state, since when, restarts, and what needs attention."""
    status = client.status()
    if as_json:
        terminal.echo_json(status, indent=2)
        return
    daemon = status["daemon"]
    now = time.time()
    up = format_duration(now - daemon["started_at"])
    config = daemon["config"] or "built in"
    terminal.echo(
        f"vllmd {daemon['version']} (pid {daemon['pid']}) up {up}, configuration {config}"
    )
    if daemon.get("late_s", 0.0) >= LATE_S:  # an older daemon does not know it
        late = f"{daemon['late_s']:.0f} s"
        terminal.echo(terminal.style(f"vllmd itself is late by {late}: {LATE_MEANS}", fg="yellow"))
    if daemon["problem"]:
        terminal.echo_text(terminal.style(daemon["problem"], fg="red"))
    if daemon.get("web_config_problem"):
        terminal.echo_text(terminal.style(daemon["web_config_problem"], fg="red"))
    if daemon.get("traces_problem"):  # an older daemon does not know it
        terminal.echo(
            terminal.style(f"spans are not received: {daemon['traces_problem']}", fg="yellow")
        )
    for part in daemon.get("failing", ()):  # an older daemon does not know it
        terminal.echo(terminal.style(_failing(part, now), fg="red"))
    for name, pid in daemon.get("unconfigured", {}).items():  # an older daemon does not know it
        text = f"{name} runs and is not configured: it is not supervised; 'kill {pid}' ends it"
        terminal.echo(terminal.style(text, fg="yellow"))
    if not status["engines"]:
        terminal.echo("no engine is configured; 'vllmd init' writes a first one")
        return
    header = ["ENGINE", "STATE", "FOR", "PID", "RESTARTS", "MODEL", "API"]
    rows = [_row(engine, now) for engine in status["engines"]]
    head, *lines = format_table(header, rows)
    terminal.echo(join(head))
    for cells, engine in zip(lines, status["engines"], strict=True):
        cells[1] = terminal.style(cells[1], fg=_COLOURS.get(engine["state"], "yellow"))
        terminal.echo(join(cells))
    for engine in status["engines"]:
        for note in _notes(engine, now):
            terminal.echo(f"{engine['name']}: {note}")


def _failing(part: dict[str, Any], now: float) -> str:
    ago = format_duration(now - part["failed_at"])
    again = f"retry in {format_duration(part['retry_at'] - now)}" if part["retry_at"] else ""
    return (
        f"part {part['part']} of vllmd failed, {part['failures']} in all, the last {ago} ago"
        f"{', ' * bool(again)}{again}: {part['problem']}; 'vllmd events --level error' has more"
    )


def _row(engine: dict[str, Any], now: float) -> list[str]:
    return [
        engine["name"],
        describe_state(engine) if engine.get("looked_for", True) else "not known yet",
        format_duration(now - engine["since"]),
        str(engine["pid"] or "-"),
        str(engine["restarts"]),
        ", ".join(engine["served_names"]),
        engine["url"],
    ]


def _notes(engine: dict[str, Any], now: float) -> list[str]:
    notes = []
    if engine["problem"]:
        notes.append(engine["problem"])
    if engine["command_changed"]:
        notes.append(
            f"runs with an older configuration; 'vllmd restart {engine['name']}' brings the new one"
        )
    for doubt in engine.get("doubts", ()):  # an older daemon does not know it
        will = "will probably fail: " if doubt["severity"] == "error" else ""
        notes.append(f"{will}{full_stop(doubt['found'])} {doubt['fix']}")
        notes += [f"  printed: {line}" for line in doubt["evidence"][:1]]
    if problem := engine.get("log_problem"):  # an older daemon does not know it
        notes.append(describe_log_problem(problem, engine["log"]))
    if printing := engine.get("printing"):  # an older daemon does not know it
        notes.append(f"prints: {printing}")
    hold = engine.get("hold")
    if hold:
        notes.append(f"held for {format_duration(now - hold['since'])}: {hold['reason']}")
        retry_at = hold["retry_at"]
        again = f"retry in {format_duration(retry_at - now)}" if retry_at else "no more retries"
        notes.append(f"{again}; 'vllmd start {engine['name']}' starts it now")
    elif engine["next_start_at"]:
        left = format_duration(engine["next_start_at"] - now)
        notes.append(f"restart in {left}; 'vllmd start {engine['name']}' starts it now")
    last = engine["last_exit"]
    if last and not last["requested"]:
        ago = format_duration(now - last["at"])
        notes.append(f"last exit, {ago} ago: {last['text']}")
        notes += _why(last)
        first = engine.get("first_failure")  # an older daemon has none
        if first and first["run_id"] != last["run_id"]:
            notes.append(f"the failures began {format_duration(now - first['at'])} ago:")
            notes += _why(first)
    return notes


def _why(end: dict[str, Any]) -> list[str]:
    found = end.get("diagnosis")
    if found is None:
        return []
    quoted = [f"  printed: {line}" for line in found["evidence"][:1]]
    return [f"  {found['cause']}: {found['explanation']} {found['advice']}", *quoted]
