"""`vllmd bundle`: one archive for a bug report, with nothing private in it."""

import http.client
import json
import os
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import click
from click.core import ParameterSource

from vllmd.bundle.anonymous import Anonymizer, names_of_host, users_of_host
from vllmd.bundle.contents import about_host, incident_files, log_files, write_archive
from vllmd.cli import terminal
from vllmd.cli.history_source import find_events_in
from vllmd.cli.options import config_option, socket_option
from vllmd.config import load, paths
from vllmd.config.load import MAX_BYTES
from vllmd.config.model import Config
from vllmd.config.problem import InvalidConfigError
from vllmd.config.secret_values import secrets_in, secrets_of
from vllmd.config.urls import url_of
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.eventlog.stories import tell_all
from vllmd.history.reading import EventFilter
from vllmd.history.store import NAME
from vllmd.shim.files import read_regular
from vllmd.util.redact import Redactor
from vllmd.util.units import DAY_S, format_bytes

LOOK_BACK_S = 30 * DAY_S


@click.command()
@config_option
@socket_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The archive to write; vllmd-bundle-TIME.tar.gz in this folder by default.",
)
@click.pass_context
def command(
    ctx: click.Context, client: ControlClient, config_path: Path, output: Path | None
) -> None:
    """Collect what is needed to understand a failure, in one archive.

    Status, events, incidents, the ends of the engines' logs, the configuration, the metrics page.
    Secrets, prompts and answers, names of users and hosts, and addresses are taken out. Works when
    the daemon is down; else it says where its files are. Look through it before you publish it:
    missing.txt says what is not in it.
    """
    told = ctx.get_parameter_source("config_path") is not ParameterSource.DEFAULT
    places = _places_of(config_path) if told else _ask_places(client, config_path)
    target = output or Path(f"vllmd-bundle-{datetime.now():%Y%m%dT%H%M%S}.tar.gz")
    secrets = [*secrets_of(places.configuration), *secrets_in(_text(places.config_path))]
    clean = Anonymizer(Redactor(secrets), users_of_host(), names_of_host())
    notes: list[str] = []
    try:
        names = write_archive(target, _files(client, places, notes), clean)
    except FileExistsError:
        raise VllmdError(f"{target} exists already; give another name with --output") from None
    except OSError as error:
        raise VllmdError(f"{target} cannot be written: {error.strerror}") from None
    size = format_bytes(target.stat().st_size)
    terminal.echo(f"{target}: {len(names)} files, {size}; look through it before you publish it")
    for note in notes:
        terminal.echo_error(f"not in it: {note}")


@attrs.frozen
class _Places:
    """Where a daemon has its files."""

    config_path: Path | None
    """None if it runs without one."""
    configuration: Config
    state: Path
    logs: Path
    engines: tuple[str, ...]


def _places_of(config_path: Path) -> _Places:
    """Return what a configuration says."""
    try:
        config = load.load(config_path)[0]
    except InvalidConfigError:
        config = Config()
    state, logs = paths.state_dir(config), paths.log_dir(config)
    return _Places(config_path, config, state, logs, tuple(config.engines))


def _ask_places(client: ControlClient, default: Path) -> _Places:
    """Return what the daemon says; without one, what the configuration says that it would read."""
    try:
        status = client.status()
    except VllmdError:
        return _places_of(default)
    named = status["daemon"]["config"]
    found = (
        _places_of(Path(named)) if named else attrs.evolve(_places_of(default), config_path=None)
    )
    folders = {each["role"]: Path(each["folder"]) for each in status.get("filesystems", ())}
    return attrs.evolve(
        found,
        state=folders.get("state", found.state),
        logs=folders.get("logs", found.logs),
        engines=tuple(each["name"] for each in status["engines"]),
    )


def _text(path: Path | None) -> str:
    """Return the configuration as it is, broken or not; nothing if there is none to read."""
    try:
        return "" if path is None else read_regular(path, MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _missing(places: _Places, names: Collection[str]) -> Iterator[str]:
    """Yield what of the files is not there."""
    if places.config_path is None:
        yield "vllmd.toml: the daemon runs without a file"
    elif not os.access(places.config_path, os.R_OK):
        yield f"vllmd.toml: {places.config_path} cannot be read"
    for engine in places.engines:
        if not any(name.startswith(f"logs/{engine}.log") for name in names):
            yield f"logs/{engine}.log: there is none in {places.logs} that can be read"


def _files(client: ControlClient, places: _Places, notes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the files; what cannot be had is put into `notes` meanwhile."""
    yield "about.json", about_host()
    try:
        status = client.status()
        yield "status.json", json.dumps(status, indent=2)
        yield "metrics.txt", _page(status["daemon"])
    except VllmdError as error:
        notes.append(f"status and metrics: {error}")
    try:
        told = find_events_in(
            client,
            places.state / NAME,
            EventFilter(since=time.time() - LOOK_BACK_S, limit=10_000),
        )
        yield "events.jsonl", "".join(f"{json.dumps(each.to_json())}\n" for each in told)
        stories = [each.text for each in tell_all(told, time.time())]
        yield "why.txt", "\n\n".join([*stories, ""])
    except VllmdError as error:
        notes.append(f"events: {error}")
    yield "vllmd.toml", _text(places.config_path)
    names: list[str] = []
    try:
        yield from incident_files(places.state / "incidents")
        for name, text in log_files(places.logs, list(places.engines)):
            names.append(name)
            yield name, text
    except OSError as error:
        notes.append(f"incidents and logs: {error}")
    notes += _missing(places, names)
    yield "missing.txt", "".join(f"{note}\n" for note in notes) or "nothing is missing\n"


def _page(daemon: Mapping[str, Any]) -> str:
    """Read the metrics page of the daemon on this host."""
    host, _, port = daemon["listen"].rpartition(":")
    where = urlsplit(daemon.get("exporter") or url_of(host.strip("[]"), int(port)))
    connection = http.client.HTTPConnection(where.netloc, timeout=10)
    if where.scheme == "https":
        # this host's own, and nothing is told to it
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(where.netloc, timeout=10, context=context)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status == HTTPStatus.OK:
            return answer.read().decode(errors="replace")
        problem = f"{answer.status} {answer.reason}"
    except (OSError, http.client.HTTPException) as error:
        problem = str(error)
    finally:
        connection.close()
    asked = daemon.get("web_config")
    hint = f"; {asked} asks for a password or a certificate: curl -u USER {where.geturl()}/metrics"
    return f"the page cannot be read: {problem}{hint if asked else ''}\n"
