"""`vllmd logs`: what an engine printed."""

import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.history_source import MomentType
from vllmd.cli.options import complete_engine, config_option, json_option, socket_option
from vllmd.config import load as config_load
from vllmd.config import paths
from vllmd.control.client import ControlClient
from vllmd.engine.status_text import describe_log_problem
from vllmd.errors import DaemonUnreachableError, NotPermittedError, UnknownEngineError, VllmdError
from vllmd.logs.lines import LEVELS, Line
from vllmd.logs.reader import LogReader, end_of
from vllmd.logs.reading import LineFilter, LogFilter, newest, oldest_first, to_come
from vllmd.shim.files import UnusableFileError, open_regular
from vllmd.util.redact import without_shapes

FOLLOW_POLL_S = 0.25
DEFAULT_LINES = 100
ROTATE = "rotate"
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "cyan"}


class _Pattern(click.ParamType):  # type: ignore[type-arg]
    name = "regex"

    def convert(self, value: Any, param: Any, ctx: Any) -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is not a regular expression: {error}", param, ctx)


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*complete_engine(ctx, param, incomplete), *([ROTATE] * ROTATE.startswith(incomplete))]


@click.command()
@click.argument("engine", required=False, shell_complete=_complete)
@click.argument("to_rotate", required=False, metavar="", shell_complete=complete_engine)
@config_option
@socket_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help=f"The newest so many; {DEFAULT_LINES} without --since and --all.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option("--since", type=MomentType(), help="How long ago, or a date.")
@click.option("--until", type=MomentType(), help="Up to then.")
@click.option("--level", type=click.Choice(LEVELS), help="This level and above.")
@click.option(
    "--process", "processes", multiple=True, help="Such as EngineCore, or Worker for all of them."
)
@click.option("-g", "--grep", type=_Pattern(), help="Only lines in which this is found.")
@click.option("--all", "everything", is_flag=True, help="All that is kept.")
@json_option
def command(
    engine: str | None,
    to_rotate: str | None,
    client: ControlClient,
    config_path: Path,
    lines: int | None,
    follow: bool,
    since: float | None,
    until: float | None,
    level: str | None,
    processes: tuple[str, ...],
    grep: re.Pattern[str] | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Show what an engine printed, over rotations and restarts; works without a daemon too.

    A line that names no level or no process, as those of a traceback, goes with the line before
    it. With --json each line is an object: engine, at (seconds since the epoch), process, pid,
    level, text.

    'vllmd logs rotate [ENGINE]' begins a new file now, of one engine or of all.
    """
    if engine == ROTATE:
        _rotate(client, to_rotate)
        return
    if to_rotate is not None:
        raise click.UsageError(f"got unexpected extra argument ({to_rotate})")
    name, path, problem = _find(engine, client, config_path)
    wanted = LogFilter(since, until, level, processes, grep)
    if lines is None and since is None and not everything:
        lines = DEFAULT_LINES
    try:
        open_regular(path).close()
        _show(name, str(path), wanted, lines, follow, as_json, problem)
    except FileNotFoundError:
        raise VllmdError(f"{name} has printed nothing yet: there is no {path}") from None
    except UnusableFileError as error:
        raise VllmdError(f"{path} cannot be read: {error.strerror}") from None
    except PermissionError:
        raise NotPermittedError(
            f"no right to read {path}: be root, or join the group vllmd"
        ) from None


def _show(
    name: str,
    log: str,
    wanted: LogFilter,
    count: int | None,
    follow: bool,
    as_json: bool,
    problem: str | None,
) -> None:
    found: Iterable[Line]
    if count is None:
        end = end_of(log)
        found = oldest_first(log, wanted, end)
    else:
        found, end = newest(log, wanted, count)
    for line in found:
        _print(name, line, as_json)
    if problem:
        terminal.echo(f"vllmd: {describe_log_problem(problem, log)}", err=True)
    if not follow:
        return
    reader, line_filter = LogReader(log, end), LineFilter(wanted)
    while True:
        for line in to_come(reader, line_filter, time.time()):
            _print(name, line, as_json)
        if reader.missed:
            reader.missed = False
            terminal.echo("vllmd: files were removed before they could be shown", err=True)
        time.sleep(FOLLOW_POLL_S)


def _print(name: str, line: Line, as_json: bool) -> None:
    line = attrs.evolve(line, text=without_shapes(line.text))
    if as_json:
        terminal.echo_json(line.to_json(name))
        return
    colour = _COLOURS.get(line.level) if sys.stdout.isatty() else None
    terminal.echo(terminal.style(line.text, fg=colour) if colour else line.text)


def _rotate(client: ControlClient, engine: str | None) -> None:
    names = [engine] if engine else [e["name"] for e in client.status()["engines"]]
    for name in names:
        client.rotate(name)
        terminal.echo(f"{name}: a new file was begun")


def _find(
    engine: str | None, client: ControlClient, config_path: Path
) -> tuple[str, Path, str | None]:
    """Ask the daemon for the file, and why the disk does not take it now, if it does not.

    Without a daemon, the configuration says where it is.
    """
    problems: dict[str, str | None] = {}
    try:
        engines = client.status()["engines"]
        logs = {e["name"]: Path(e["log"]) for e in engines}
        problems = {e["name"]: e.get("log_problem") for e in engines}  # not of an older daemon
    except DaemonUnreachableError as unreachable:
        if not config_path.exists():
            raise unreachable from None
        config, _ = config_load.load(config_path)
        folder = paths.log_dir(config)
        logs = {name: paths.engine_log(folder, name) for name in config.engines}
    if engine is None:
        if len(logs) != 1:
            raise click.UsageError(f"name an engine; there is: {', '.join(logs) or 'none'}")
        engine = next(iter(logs))
    if engine not in logs:
        raise UnknownEngineError.among(engine, logs)
    return engine, logs[engine], problems.get(engine)
