"""`vllmd logs`: what an engine printed."""

import heapq
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.history_source import LevelType
from vllmd.cli.moment import MomentType
from vllmd.cli.options import complete_engine, config_option, json_option, socket_option
from vllmd.config import load as config_load
from vllmd.config import paths
from vllmd.control.client import ControlClient
from vllmd.engine.status_text import describe_log_problem
from vllmd.errors import DaemonUnreachableError, NotPermittedError, UnknownEngineError, VllmdError
from vllmd.logs.lines import Line
from vllmd.logs.reader import LogReader, end_of
from vllmd.logs.reading import LineFilter, LogFilter, newest, oldest_first, to_come
from vllmd.shim.counted import LEVELS
from vllmd.shim.files import open_regular
from vllmd.util.redact import without_shapes

FOLLOW_POLL_S = 0.25
DEFAULT_LINES = 100
ROTATE = "rotate"
COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "cyan"}


class _Pattern(click.ParamType):  # type: ignore[type-arg]
    name = "regex"

    def convert(self, value: Any, param: Any, ctx: Any) -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is not a regular expression: {error}", param, ctx)


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [*complete_engine(ctx, param, incomplete), *([ROTATE] * ROTATE.startswith(incomplete))]


def _complete_process(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    names = ("APIServer", "EngineCore", "Worker")
    return [name for name in names if name.lower().startswith(incomplete.lower())]


@click.command(ROTATE)
@click.argument("engines", nargs=-1, metavar="[ENGINE]...", shell_complete=complete_engine)
@socket_option
def rotate(engines: tuple[str, ...], client: ControlClient) -> None:
    """Begin a new log file now, of the engines that are named, or of all.

    The old one is compressed and kept, as the size or the day would have it.
    """
    for name in engines or [e["name"] for e in client.status()["engines"]]:
        client.rotate(name)
        terminal.echo(f"{name}: a new file was begun")


class _Logs(click.Command):
    """The command; its first word may be that of another command, instead of an engine's name."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if args[:1] != [ROTATE]:
            return super().make_context(info_name, args, parent, **extra)
        outer = click.Context(click.Command(info_name), parent=parent, info_name=info_name)
        return rotate.make_context(ROTATE, args[1:], outer, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(cls=_Logs)
@click.argument("engines", nargs=-1, metavar="[ENGINE]...", shell_complete=_complete)
@config_option
@socket_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help=f"Show the newest N; {DEFAULT_LINES} without --since and --all.",
)
@click.option("-f", "--follow", is_flag=True, help="Follow: show new lines as they come.")
@click.option("--since", type=MomentType(), help="Only from then on: 2h, yesterday, or a date.")
@click.option("--until", type=MomentType(), help="Only until then.")
@click.option("--level", type=LevelType(LEVELS), help="This level and above.")
@click.option(
    "--process",
    "processes",
    multiple=True,
    shell_complete=_complete_process,
    help="Such as EngineCore, or Worker for all of them.",
)
@click.option("-g", "--grep", type=_Pattern(), help="Only lines in which this is found.")
@click.option(
    "--weights",
    "of_weights",
    is_flag=True,
    help="Show what keeps the weights of an engine in GPU memory (preload) instead.",
)
@click.option("--all", "everything", is_flag=True, help="Show all lines that are kept.")
@json_option
def command(
    engines: tuple[str, ...],
    client: ControlClient,
    config_path: Path,
    lines: int | None,
    follow: bool,
    since: float | None,
    until: float | None,
    level: str | None,
    processes: tuple[str, ...],
    grep: re.Pattern[str] | None,
    of_weights: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Show what engines printed, over rotations and restarts; works without a daemon too.

    Lines of several engines, of all where none is named, come in the order in which they were
    printed, each behind its engine's name.

    A line that names no level or no process, as those of a traceback, goes with the line before
    it. With --json each line is an object: engine, at (seconds since the epoch), process, pid,
    level, text.

    'vllmd logs rotate [ENGINE]...' begins a new file now, of those or of all.
    """
    sources = _find(engines, client, config_path)
    if of_weights:
        sources = [each.of_weights() for each in sources]
    wanted = LogFilter(since, until, level, processes, grep)
    if lines is None and since is None and not everything:
        lines = DEFAULT_LINES
    readable = []
    for source in sources:
        try:
            open_regular(source.path).close()
            readable.append(source)
        except OSError as error:
            if len(sources) == 1:
                raise _cannot(source, error) from None
            terminal.echo(f"vllmd: {_cannot(source, error)}", err=True)
    _Output(readable, wanted, as_json, max(len(each.name) for each in sources)).show(lines, follow)


def _cannot(source: "_Source", error: OSError) -> VllmdError:
    """Return what to tell of a log that cannot be opened."""
    name, path = source.name, source.path
    match error:
        case FileNotFoundError():
            return VllmdError(f"{name} has printed nothing yet: there is no {path}")
        case PermissionError():
            return NotPermittedError(f"no right to read {path}: be root, or join the group vllmd")
        case _:
            return VllmdError(f"{path} cannot be read: {error.strerror}")


@attrs.frozen
class _Source:
    """The log of one engine, and why the disk does not take it now, if it does not."""

    name: str
    path: Path
    problem: str | None

    def of_weights(self) -> "_Source":
        """Return the log of what keeps the weights of that engine."""
        return _Source(self.name, paths.weights_log(self.path.parent, self.name), None)


_Dated = tuple[float, str, Line]
"""When a line was printed at the latest, by whom, and the line."""


class _Output:
    """Shows lines of one log or of several: then each has its engine's name before it."""

    def __init__(
        self, sources: Sequence[_Source], wanted: LogFilter, as_json: bool, name_width: int
    ) -> None:
        self._sources = sources
        self._wanted = wanted
        self._as_json = as_json
        self._name_width = name_width if len(sources) > 1 else 0

    def show(self, count: int | None, follow: bool) -> None:
        """Show the newest `count` lines, or all; then, with `follow`, what comes, for ever."""
        found, readers = [], []
        for source in self._sources:
            log = str(source.path)
            if count is None:
                end = end_of(log)
                found.append(_dated(source.name, oldest_first(log, self._wanted, end)))
            else:
                newest_lines, end = newest(log, self._wanted, count)
                found.append(_dated(source.name, newest_lines))
            readers.append((source.name, LogReader(log, end), LineFilter(self._wanted)))
        merged: Iterable[_Dated] = heapq.merge(*found, key=lambda each: each[0])
        for _, name, line in merged if count is None else deque(merged, maxlen=count):
            self._print(name, line)
        for source in self._sources:
            if source.problem:
                said = describe_log_problem(source.problem, str(source.path))
                terminal.echo(f"vllmd: {self._prefix(source.name)}{said}", err=True)
        while follow:
            self._follow(readers)
            time.sleep(FOLLOW_POLL_S)

    def _follow(self, readers: Iterable[tuple[str, LogReader, LineFilter]]) -> None:
        for name, reader, line_filter in readers:
            for line in to_come(reader, line_filter, time.time()):
                self._print(name, line)
            if reader.missed:
                reader.missed = False
                text = "files were removed before they could be shown"
                terminal.echo(f"vllmd: {self._prefix(name)}{text}", err=True)

    def _print(self, name: str, line: Line) -> None:
        line = attrs.evolve(line, text=without_shapes(line.text))
        if self._as_json:
            terminal.echo_json(line.to_json(name))
            return
        colour = COLOURS.get(line.level) if sys.stdout.isatty() else None
        text = terminal.style(line.text, fg=colour) if colour else line.text
        terminal.echo(f"{self._prefix(name)}{text}")

    def _prefix(self, name: str) -> str:
        return f"{name:<{self._name_width}} | " if self._name_width else ""


def _dated(name: str, lines: Iterable[Line]) -> Iterator[_Dated]:
    """Yield the lines with a time that never goes back: one that has none goes with the last."""
    at = 0.0
    for line in lines:
        at = max(at, line.at or 0.0)
        yield at, name, line


def _find(engines: Sequence[str], client: ControlClient, config_path: Path) -> list[_Source]:
    """Ask the daemon for the files; without one, the configuration says where they are."""
    problems: dict[str, str | None] = {}
    try:
        listed = client.status()["engines"]
        logs = {e["name"]: Path(e["log"]) for e in listed}
        problems = {e["name"]: e.get("log_problem") for e in listed}  # not of an older daemon
    except DaemonUnreachableError as unreachable:
        if not os.path.exists(config_path):
            raise unreachable from None
        config, _ = config_load.load(config_path)
        folder = paths.log_dir(config)
        logs = {name: paths.engine_log(folder, name) for name in config.engines}
    if not logs:
        raise VllmdError("no engine is configured; 'vllmd init' writes a first one")
    for name in engines:
        if name not in logs:
            raise UnknownEngineError.among(name, logs)
    return [_Source(name, logs[name], problems.get(name)) for name in engines or logs]
