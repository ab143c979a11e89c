"""`vllmd why`: what died, why, what was done, what to do next."""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.history_source import MomentType, find_events
from vllmd.cli.options import (
    complete_engine,
    config_option,
    json_option,
    socket_option,
    utc_option,
)
from vllmd.config import load
from vllmd.config.secret_values import secrets_of
from vllmd.control.client import ControlClient
from vllmd.engine.causes.base import Diagnosis
from vllmd.engine.offline_diagnosis import diagnose_output
from vllmd.engine.status_text import describe_log_problem
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.eventlog.narrative import Story
from vllmd.history.reading import EventFilter
from vllmd.logs.input_files import STDIN, read_given
from vllmd.util.failure_report import FailureReport
from vllmd.util.redact import Redactor
from vllmd.util.units import DAY_S

LOOK_BACK_S = 90 * DAY_S
MAX_EVENTS = 2000
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
        said = diagnose_output(_read(logs, since), exit_code)
        found = _masked(said, _redactor(config_path))
        report = _report(found, logs, exit_code)
        if as_json:
            terminal.echo_json({**attrs.asdict(found), **report.to_json()}, indent=2)
        else:
            terminal.echo_text(report.wrapped(_width()))
        return
    if exit_code is not None or since is not None:
        raise click.UsageError("--exit-code and --since go with --log FILE")
    told = failures_told(client, config_path)
    known = narrative.engines_in(told)
    if engine is not None and engine not in known:
        there_is = ", ".join(known) or "none"
        raise UnknownEngineError(f"nothing happened to an engine {engine!r}; there is: {there_is}")
    stories = [narrative.tell(each, told, time.time()) for each in ([engine] if engine else known)]
    if as_json:
        terminal.echo_json([each.to_json() for each in stories], indent=2)
        return
    if not stories:
        terminal.echo("Nothing has happened to any engine yet.")
    known_now = _engines(client)
    for index, each in enumerate(stories):
        report = with_now(each, known_now.get(each.engine, {}))
        terminal.echo_text(("\n" if index else "") + report.wrapped(_width()))


def failures_told(client: ControlClient, config_path: Path) -> list[Event]:
    """Return the events that `why` is told from.

    Raises: VllmdError: they cannot be had.
    """
    wanted = EventFilter(since=time.time() - LOOK_BACK_S, names=narrative.NAMES, limit=MAX_EVENTS)
    return find_events(client, config_path, wanted)


def _read(logs: tuple[Path, ...], since: float | None) -> list[str]:
    """Return the lines of an output that say how its last run ended."""
    try:
        return read_given(logs, since)
    except OSError as error:
        path = error.filename or logs[0]
        raise VllmdError(f"{path} cannot be read: {error.strerror or error}") from None


def _redactor(config_path: Path) -> Redactor:
    """Return what takes secrets out: those of any kind, and those of the configuration here."""
    redactor = Redactor()
    with contextlib.suppress(VllmdError, OSError):
        redactor.learn(secrets_of(load.load(config_path)[0]))
    return redactor


def _masked(found: Diagnosis, redactor: Redactor) -> Diagnosis:
    """Return what is shown of an output without secrets."""
    mask = redactor.text
    return attrs.evolve(
        found,
        explanation=mask(found.explanation),
        advice=mask(found.advice),
        evidence=tuple(map(mask, found.evidence)),
    )


def _report(found: Diagnosis, logs: tuple[Path, ...], exit_code: int | None) -> FailureReport:
    """Return what is known of a run that vllmd never saw."""
    where = ", ".join("standard input" if str(log) == STDIN else str(log) for log in logs)
    ended = f" ended with exit code {exit_code}" if exit_code is not None else " failed"
    return found.report(f"The last run in {where}{ended}.")


def _engines(client: ControlClient) -> dict[str, dict[str, Any]]:
    """Return the status of each engine; nothing where no daemon answers."""
    try:
        return {each["name"]: each for each in client.status()["engines"]}
    except VllmdError:
        return {}


def with_now(story: Story, engine: Mapping[str, Any]) -> FailureReport:
    """Return the report, with what is wrong now: with its log, and what keeps it from starting."""
    report = story.report
    if engine.get("log_problem"):  # an older daemon does not know it
        said = describe_log_problem(engine["log_problem"], engine["log"])
        report = attrs.evolve(report, what=f"{report.what} Besides, {said}.")
    problem = engine.get("problem")
    if problem and problem not in str(report):
        report = attrs.evolve(report, evidence=(*report.evidence, problem))
    return report


def _width() -> int:
    return min(terminal.width() or WIDTH, WIDEST)
