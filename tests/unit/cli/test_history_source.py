import time
from pathlib import Path

import click
import pytest

from vllmd.cli.history_source import LevelType, database, find_events
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, NotPermittedError, VllmdError
from vllmd.eventlog.bus import Event
from vllmd.history.reading import EventFilter
from vllmd.history.store import NAME, Store


def site(folder: Path) -> Path:
    config = folder / "v.toml"
    config.write_text(f'[daemon]\nstate_dir = "{folder}/state"\n')
    (folder / "state").mkdir()
    return config


def test_find_events_without_a_daemon_reads_the_file(tmp_path: Path) -> None:
    config = site(tmp_path)
    store = Store(tmp_path / "state")
    store.open()
    store.append([Event(time.time(), "engine.exited", "error", "chat")])
    nobody = ControlClient(tmp_path / "c.sock")
    assert [e.name for e in find_events(nobody, config, EventFilter())] == ["engine.exited"]


def test_find_events_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = site(tmp_path)
    nobody = ControlClient(tmp_path / "c.sock")
    with pytest.raises(DaemonUnreachableError):
        find_events(nobody, config, EventFilter())
    (tmp_path / "state" / NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(VllmdError, match="cannot be read: file is not a database"):
        find_events(nobody, config, EventFilter())
    monkeypatch.setattr("vllmd.cli.history_source._may_read", lambda _: False)
    with pytest.raises(NotPermittedError, match="join the group"):
        find_events(nobody, config, EventFilter())


def test_database_of_a_broken_configuration_is_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "v.toml"
    config.write_text("broken")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert database(config) == tmp_path / NAME


def test_level_is_taken_as_others_write_it() -> None:
    level = LevelType(("info", "warning", "error"))
    assert [level.convert(each, None, None) for each in ("warn", "err", "ERROR", "info")] == [
        *("warning", "error", "error", "info"),
    ]
    with pytest.raises(click.BadParameter):
        level.convert("fatal", None, None)
