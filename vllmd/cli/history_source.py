"""The history as the commands read it: from the daemon, or from its file when it is down."""

import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import click

from vllmd.config import load, paths
from vllmd.config.model import Config
from vllmd.config.problem import InvalidConfigError
from vllmd.control.client import ControlClient
from vllmd.control.events import events_of
from vllmd.errors import DaemonUnreachableError, NotPermittedError, VllmdError
from vllmd.eventlog.bus import Event
from vllmd.history.reading import EventFilter, read
from vllmd.history.store import NAME
from vllmd.shim.files import open_regular


def find_events(client: ControlClient, config_path: Path, wanted: EventFilter) -> list[Event]:
    """Ask the daemon for events; without one, read the file of a configuration.

    Raises: VllmdError: neither can be had.
    """
    return find_events_in(client, database(config_path), wanted)


def find_events_in(client: ControlClient, path: Path, wanted: EventFilter) -> list[Event]:
    """Ask the daemon for events; without one, read that file. Raises: as `find_events`."""
    try:
        return events_of(client, wanted)
    except DaemonUnreachableError as unreachable:
        try:
            return read(path, wanted)
        except (sqlite3.Error, OSError) as error:
            if not _may_read(path):
                raise NotPermittedError(
                    f"no daemon answers, and no right to read {path}: be root, or join the group "
                    "vllmd"
                ) from None
            if not path.exists():
                raise unreachable from None
            raise VllmdError(f"the history {path} cannot be read: {error}") from None


def database(config_path: Path) -> Path:
    """Return the file of the history that the daemon of a configuration writes."""
    try:
        config, _ = load.load(config_path)
    except InvalidConfigError:  # a broken file must not hide what happened
        config = Config()
    return paths.state_dir(config) / NAME


class LevelType(click.Choice[str]):
    """A level of the log, also as journalctl and Python write it."""

    _SHORT: ClassVar = {"warn": "warning", "err": "error", "crit": "critical", "fatal": "critical"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        word = str(value).lower()
        short = self._SHORT.get(word, word)
        return super().convert(short if short in self.choices else value, param, ctx)


def _may_read(path: Path) -> bool:
    try:
        with open_regular(path):
            return True
    except PermissionError:
        return False
    except OSError:
        return True
