"""`vllmd top`: all engines on one screen, and what can be done about them."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vllmd.cli import status, status_view, terminal
from vllmd.cli.options import complete_engine, config_option, json_option, socket_option, utc_option
from vllmd.cli.status import interval_option
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, UnknownEngineError, VllmdError

if TYPE_CHECKING:
    from vllmd.cli.screen.hosts import StatusSource

INTERNAL_FAILURE = 70


@click.command()
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option(
    "--host",
    "urls",
    multiple=True,
    metavar="URL",
    help="The page of a vllmd, such as http://gpu-2:9840, instead of this host's; may be given "
    "more than once. A password is taken from ~/.netrc.",
)
@click.option("--once", is_flag=True, help="Print it once, as 'vllmd status' does, and end.")
@interval_option("How often it is renewed.")
@utc_option
@config_option
@socket_option
@json_option
def command(
    client: ControlClient,
    config_path: Path,
    engine: str | None,
    urls: tuple[str, ...],
    once: bool,
    interval_s: float,
    as_json: bool,
) -> None:
    """Watch and control engines and GPUs on a full screen.

    Tabs for engines, GPUs, slowest requests, events and cost; Enter shows an engine with ten
    minutes of graphs, why it ended, and its log. Keys restart, drain and start an engine: each
    shows the command that it is, and asks. ? shows all keys.

    With ENGINE that one is shown at first. Where no screen can be drawn, it is 'vllmd status
    --watch', and in a pipe one 'vllmd status'. Other hosts are only looked at.
    """
    sources = _sources(client, urls)
    if once or as_json or not _has_screen():
        on_terminal = terminal.width() is not None
        _plain(
            sources, engine, None if once or not (as_json or on_terminal) else interval_s, as_json
        )
        return
    _check(sources, engine, local=not urls)
    _screen(sources, client, config_path, engine, interval_s, local=not urls)


def _sources(client: ControlClient, urls: Sequence[str]) -> "list[StatusSource]":
    from vllmd.cli.screen.hosts import LocalSource, RemoteSource

    try:
        kept = ControlClient(client.path, keep=True)
        return [RemoteSource(url) for url in urls] if urls else [LocalSource(kept)]
    except VllmdError as error:
        raise click.BadParameter(str(error), param_hint="--host") from None


def _has_screen() -> bool:
    return sys.stdin.isatty() and terminal.moves_cursor()


def _check(sources: "Sequence[StatusSource]", engine: str | None, *, local: bool) -> None:
    """Refuse what the screen could only show: an engine that is not there, a socket that may not
    be used. A daemon that does not answer is waited for."""
    if engine is None and not local:
        return
    try:
        document = sources[0].status(series=False)
    except DaemonUnreachableError:
        return
    if engine is not None:
        names = [each["name"] for each in document["engines"]]
        if engine not in names:
            raise UnknownEngineError.among(engine, names)


def _screen(
    sources: "Sequence[StatusSource]",
    client: ControlClient,
    config_path: Path,
    engine: str | None,
    interval_s: float,
    *,
    local: bool,
) -> None:
    from vllmd.cli.screen.app import TopApp
    from vllmd.cli.screen.feeds import Feeds
    from vllmd.cli.screen.hosts import Host

    hosts = [Host(source, local=local) for source in sources]
    feeds = Feeds(client, config_path) if local else None
    app = TopApp(hosts, feeds, client.path if local else None, interval_s, engine=engine)
    app.run()
    if app.return_code:
        sys.exit(INTERNAL_FAILURE)


def _plain(
    sources: "Sequence[StatusSource]", engine: str | None, interval_s: float | None, as_json: bool
) -> None:
    """Print it without a screen: once, or again and again; then who is away is waited for."""
    while True:
        for source in sources:
            try:
                _print(source.status(series=False), engine, as_json)
            except VllmdError as error:
                if interval_s is None and len(sources) == 1:
                    raise
                terminal.echo_error(f"vllmd: {error}")
            if not as_json and (interval_s is not None or len(sources) > 1):
                terminal.echo()
        if interval_s is None:
            return
        time.sleep(interval_s)


def _print(document: Any, engine: str | None, as_json: bool) -> None:
    if engine is not None:
        document = {**document, "engines": [status.engine_of(document, engine)]}
    if as_json:
        terminal.echo_json(document if engine is None else document["engines"][0])
        return
    for line in status_view.report(document, document.get("at", time.time()), terminal.width()):
        terminal.echo(line)
