"""How daemons end, as the next one knows it; with the whole daemon in test_daemon.py."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.late_disk import LateDisk
from vllmd.daemon.lifetime import Lifetime
from vllmd.errors import VllmdError
from vllmd.events.daemon import (
    DaemonFailed,
    DaemonRecovered,
    DaemonStopped,
    StateFileNotWritten,
    StateFileUnreadable,
)
from vllmd.shim import proc


def begun(path: Path, boot: str | None = None) -> tuple[Lifetime, list[dict[str, Any]]]:
    lifetime = Lifetime(path, FakeClock())
    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        if boot:
            patch.setattr("vllmd.daemon.lifetime.boot_id", lambda: boot)
        lifetime.begin()
    return lifetime, [dict(each) for each in logs]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


def test_first_daemon_knows_of_none_before_it(path: Path) -> None:
    lifetime, logs = begun(path)
    assert (lifetime.unexpected, logs) == (0, [])


@pytest.mark.parametrize("how", ["stopped", "reload"])
def test_end_that_was_asked_for_is_no_word_worth(how: str, path: Path) -> None:
    with begun(path)[0].told(lambda: how):
        pass
    lifetime, logs = begun(path)
    assert (lifetime.unexpected, logs) == (0, [])


def test_mistake_is_told_by_the_daemon_and_by_the_next_one(path: Path) -> None:
    with capture_logs() as logs, pytest.raises(KeyError), begun(path)[0].told(lambda: "stopped"):
        raise KeyError("cpu_s")
    (told,) = logs
    assert (told["event"], told["log_level"]) == (DaemonFailed.name, "error")
    assert told["problem"] == "KeyError: 'cpu_s'"
    assert isinstance(told["exc_info"], KeyError)
    lifetime, (found,) = begun(path)
    assert (found["event"], found["how"]) == (DaemonRecovered.name, "failed")
    assert (found["problem"], found["ended_at"]) == ("KeyError: 'cpu_s'", 1_001_000.0)
    assert lifetime.unexpected == 1


def test_start_that_fails_is_told_without_a_traceback(path: Path) -> None:
    with capture_logs() as logs, pytest.raises(VllmdError), begun(path)[0].told(str):
        raise VllmdError("port 9840 is in use; choose another")
    assert logs[0]["problem"] == "port 9840 is in use; choose another"
    assert "exc_info" not in logs[0]


@pytest.mark.parametrize(
    ("boot", "says"),
    [
        (None, "it was killed"),
        ("other", "the host went"),
        (f"{proc.boot_id()}:7", "its container ended"),
    ],
)
def test_daemon_that_ended_without_a_word_is_told_by_the_next(
    boot: str | None, says: str, path: Path
) -> None:
    begun(path)
    lifetime, (found,) = begun(path, boot)
    assert (found["how"], found["ended_at"]) == ("lost", None)
    assert found["problem"].startswith(says)
    assert lifetime.unexpected == 1


def test_count_goes_on_over_daemons(path: Path) -> None:
    counts = []
    for end in ("lost", "stopped", "lost", "stopped"):
        lifetime, _ = begun(path)
        counts.append(lifetime.unexpected)
        if end == "stopped":
            lifetime.end(end)
    assert counts == [0, 1, 1, 2]
    assert begun(path)[0].unexpected == 2


def test_daemon_that_is_given_up_has_stopped(path: Path) -> None:
    with capture_logs() as logs:
        with pytest.raises(asyncio.CancelledError), begun(path)[0].told(lambda: "stopped"):
            raise asyncio.CancelledError
        assert begun(path)[0].unexpected == 0
    assert [(each["event"], each["outcome"]) for each in logs] == [
        (DaemonStopped.name, "cancelled")
    ]


BROKEN = ["", "[]", "7", '{"end": 7}', '{"end": {}, "unexpected": "x"}', '{"end": {"how": [1]}}']


@pytest.mark.parametrize("text", BROKEN)
def test_file_that_makes_no_sense_ends_no_daemon(text: str, path: Path) -> None:
    path.write_text(text)
    assert begun(path)[0].unexpected in (0, 1)
    assert json.loads(path.read_text())["boot"] == proc.boot_id()


def test_file_that_cannot_be_read_or_written_is_told_only(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").mkdir()
    _, logs = begun(tmp_path / "daemon.json")
    assert {each["event"] for each in logs} <= {
        StateFileUnreadable.name,
        StateFileNotWritten.name,
    }
    assert logs


def test_file_that_is_read_late_keeps_its_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(path)
    begun(path)  # the first was lost
    before = path.read_bytes()
    disk = LateDisk(monkeypatch)
    late, _ = begun(path)
    late.end("stopped")
    assert path.read_bytes() == before
    disk.late = False
    late.end("stopped")  # it is read now: the second was lost, too
    assert begun(path)[0].unexpected == 2
