"""`vllmd status`: how the engines, their GPUs and the daemon stand, once or again and again."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from vllmd.cli import status_view, terminal
from vllmd.cli.options import complete_engine, json_option, socket_option, utc_option
from vllmd.config import CONFIG_PATH
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.errors import DaemonUnreachableError, UnknownEngineError
from vllmd.util.units import parse_duration

F = TypeVar("F", bound=Callable[..., Any])
View = Callable[[Mapping[str, Any], int | None], Iterable[str]]
"""Makes lines of a document, for a screen of so many rows."""


def _interval(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return max(0.1, parse_duration(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def interval_option(text: str) -> Callable[[F], F]:
    """Add `--interval`, as the parameter `interval_s`; `text` is its help."""
    return click.option(
        "--interval",
        "interval_s",
        default="1s",
        show_default=True,
        callback=_interval,
        help=text,
    )


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option("-w", "--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@interval_option("With --watch: how often.")
@click.option("--hints", is_flag=True, hidden=True)
@utc_option
@socket_option
@json_option
def command(
    client: ControlClient,
    engine: str | None,
    watch: bool,
    interval_s: float,
    hints: bool,
    as_json: bool,
) -> None:
    """Show the engines and GPUs: state and why, load, memory, and what needs attention.

    TTFT95 and ITL95 are the 95th percentiles of the last minute: time to the first token, and
    between tokens. VRAM is the GPU memory of the engine's processes; MARGIN is what would be free
    beyond what it needs if it started again now, and below 0 it would not start. A terminal of 140
    columns has more of them.

    With ENGINE more of that one: its newest failures, and the end of its log. --json has all that
    is known; docs/status.md explains it.
    """
    if watch:
        again = _watch_json if as_json else _watch
        again(client, engine, interval_s)
        return
    try:
        document = client.status()
    except DaemonUnreachableError as error:
        if not hints:
            raise
        raise DaemonUnreachableError(f"{error}\n{_first_steps()}") from None
    if as_json:
        terminal.echo_json(document if engine is None else engine_of(document, engine), indent=2)
        return
    for line in _view(client, engine)(document, None):
        terminal.echo(line)
    if hints:
        terminal.echo()
        terminal.echo(f"Next: {' · '.join(_hints(document))}")


def engine_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one engine of the document. Raises: UnknownEngineError: it has none of that name."""
    engines = {each["name"]: each for each in document["engines"]}
    if name not in engines:
        raise UnknownEngineError.among(name, engines)
    return dict(engines[name])


def _view(client: ControlClient, name: str | None) -> View:
    """Return what shows a document: its lines, of one engine where it is named.

    It is told what a screen has room for, and None where there is no end.
    """
    if name is None:
        return _whole
    from vllmd.cli import one_engine

    history = one_engine.History(client)
    return lambda document, _: one_engine.report(history, engine_of(document, name), time.time())


def _whole(document: Mapping[str, Any], rows: int | None) -> Iterable[str]:
    columns = terminal.width()
    if columns is None or rows is None:
        return status_view.report(document, time.time(), columns)
    return status_view.screen(document, time.time(), columns, rows)


def _watch(client: ControlClient, engine: str | None, interval_s: float) -> None:
    """Show it for ever; a daemon that is away for a moment is waited for."""
    screen = terminal.moves_cursor()
    view = _view(client, engine)
    while True:
        try:
            shown = list(view(client.status(), terminal.rows() if screen else None))
        except DaemonUnreachableError as error:
            shown = terminal.wrap(str(error))
        if screen:
            terminal.show_screen(shown, whole=f"vllmd status {engine or ''}".rstrip())
        else:
            for line in (*shown, ""):
                terminal.echo(line)
        time.sleep(interval_s)


def _watch_json(client: ControlClient, engine: str | None, interval_s: float) -> None:
    """Print it for ever, a line each time; why there is none is said once, on standard error."""
    said = ""
    while True:
        try:
            document = client.status()
        except DaemonUnreachableError as error:
            if str(error) != said:
                said = str(error)
                terminal.echo_error(f"vllmd: {said}")
        else:
            said = ""
            terminal.echo_json(document if engine is None else engine_of(document, engine))
        time.sleep(interval_s)


def _hints(document: Mapping[str, Any]) -> list[str]:
    """Return the three commands that make sense now."""
    failed = [e["name"] for e in document["engines"] if e["state"] in (State.HELD, State.BACKOFF)]
    down = [e["name"] for e in document["engines"] if e["state"] == State.STOPPED]
    waiting = [e["name"] for e in document["engines"] if e["state"] != State.READY]
    if not document["engines"]:
        return ["vllmd init", "vllmd reload", "vllmd --help"]
    if failed:
        return [f"vllmd why {failed[0]}", f"vllmd logs {failed[0]}", f"vllmd start {failed[0]}"]
    if down:
        return [f"vllmd start {down[0]}", f"vllmd status {down[0]}", "vllmd --help"]
    if waiting:
        return ["vllmd top", f"vllmd logs -f {waiting[0]}", f"vllmd status {waiting[0]}"]
    return ['vllmd ask "…"', "vllmd top", "vllmd --help"]


def _first_steps() -> str:
    if CONFIG_PATH.exists():
        return "Next: vllmd check · systemctl start vllmd · vllmd --help"
    return "Next: vllmd run --demo · vllmd init · vllmd --help"
