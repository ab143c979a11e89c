"""`vllmd why`: what died, why, what was done, what to do next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.moment import MomentType
from vllmd.cli.options import (
    complete_engine,
    config_option,
    json_option,
    socket_option,
    utc_option,
)
from vllmd.control.client import ControlClient
from vllmd.engine.status_text import describe_log_problem
from vllmd.errors import DaemonUnreachableError, UnknownEngineError, VllmdError
from vllmd.util import labelled_parts

WIDTH = 80
"""In a file, too: the labels have a column of their own."""
WIDEST = 100
"""Longer lines are hard to read."""


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@config_option
@socket_option
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Look into this output of any vLLM run instead, plain or .gz; - is standard input. "
    "Several are read as one.",
)
@click.option("--since", type=MomentType(), help="With --log: how long ago, or a date.")
@click.option("--exit-code", type=int, help="With --log: how that run ended, such as 1 or 137.")
@utc_option
@json_option
def command(
    engine: str | None,
    client: ControlClient,
    config_path: Path,
    logs: tuple[Path, ...],
    since: float | None,
    exit_code: int | None,
    as_json: bool,
) -> None:
    """Explain why an engine failed, what was done, and what to do next.

    Without ENGINE, of every engine. Works when the daemon is down: it reads its history.

    With --log FILE it needs neither a daemon nor a history: it looks for the cause in what any
    vLLM run has printed.
    """
    if logs:
        from vllmd.cli import why_log

        found = why_log.explain(logs, since, exit_code, config_path)
        if as_json:
            terminal.echo_json(found, indent=2)
        else:
            terminal.echo_text(labelled_parts.wrapped(found, _width()))
        return
    if exit_code is not None or since is not None:
        raise click.UsageError("--exit-code and --since go with --log FILE")
    stories = _stories(client, config_path)
    known = [each["engine"] for each in stories]
    if engine is not None and engine not in known:
        there_is = ", ".join(known) or "none"
        raise UnknownEngineError(f"nothing happened to an engine {engine!r}; there is: {there_is}")
    if engine is not None:
        stories = [each for each in stories if each["engine"] == engine]
    if as_json:
        terminal.echo_json(stories, indent=2)
        return
    if not stories:
        terminal.echo("Nothing has happened to any engine yet.")
    known_now = _engines(client)
    for index, each in enumerate(stories):
        parts = with_now(each, known_now.get(each["engine"], {}))
        terminal.echo_text(("\n" if index else "") + labelled_parts.wrapped(parts, _width()))


def _stories(client: ControlClient, config_path: Path) -> list[dict[str, Any]]:
    """Return the story of each engine to which something happened.

    The daemon tells them; where none answers, or an older one, they are made of the history here.
    """
    try:
        told = client.why()
    except DaemonUnreachableError:
        told = None
    if told is None:
        from vllmd.cli import failures

        told = failures.stories(failures.failures_told(client, config_path))
    return told


def _engines(client: ControlClient) -> dict[str, dict[str, Any]]:
    """Return the status of each engine; nothing where no daemon answers."""
    try:
        return {each["name"]: each for each in client.status()["engines"]}
    except VllmdError:
        return {}


def with_now(parts: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a report with what is wrong now.

    That is what is wrong with its log, and what keeps it from starting.
    """
    now = dict(parts)
    if engine.get("log_problem"):  # an older daemon does not know it
        said = describe_log_problem(engine["log_problem"], engine["log"])
        now["what"] = f"{now['what']} Besides, {said}."
    problem = engine.get("problem")
    if problem and not any(problem in item for _, item in labelled_parts.items(now)):
        now["evidence"] = [*now["evidence"], problem]
    return now


def _width() -> int:
    return min(terminal.width() or WIDTH, WIDEST)
