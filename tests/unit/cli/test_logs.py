import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli import logs
from vllmd.errors import DaemonUnreachableError, UnknownEngineError, VllmdError


def test_logs_shows_the_last_lines_of_the_daemons_engine(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_bytes(b"one\ntwo\nthree\xff\n")
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log))) as path:
        result = CliRunner().invoke(logs.command, ["chat", "-n", "2", "--socket", str(path)])
    assert result.stdout_bytes == b"two\nthree\xff\n"


def test_logs_without_a_daemon_goes_by_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "v.toml"
    config.write_text(f'[daemon]\nlog_dir = "{tmp_path}"\n[engines.chat]\nmodel = "m"')
    options = ["--socket", str(tmp_path / "none"), "--config", str(config)]
    result = CliRunner().invoke(logs.command, ["chat", *options])
    assert isinstance(result.exception, VllmdError)
    assert "has printed nothing yet" in str(result.exception)
    (tmp_path / "chat.log").write_text("here\n")
    assert CliRunner().invoke(logs.command, ["chat", *options]).output == "here\n"
    result = CliRunner().invoke(logs.command, ["other", *options])
    assert isinstance(result.exception, UnknownEngineError)


def test_logs_without_daemon_and_configuration_says_who_is_missing(tmp_path: Path) -> None:
    options = ["--socket", str(tmp_path / "none"), "--config", str(tmp_path / "none.toml")]
    result = CliRunner().invoke(logs.command, ["chat", *options])
    assert isinstance(result.exception, DaemonUnreachableError)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, b""), (1, b"49999\n"), (3, b"49997\n49998\n49999\n")]
)
def test_last_lines_reads_from_the_end(tmp_path: Path, count: int, expected: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{n}\n" for n in range(50_000)))
    fd = os.open(path, os.O_RDONLY)
    assert logs.last_lines(fd, count) == expected
    os.close(fd)


def test_follow_file_goes_on_in_a_new_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    blocks = logs.follow_file(path, 4)
    with path.open("ab") as file:
        file.write(b"more\n")
    assert next(blocks) == b"more\n"
    path.rename(tmp_path / "a.log.1")
    path.write_bytes(b"new\n")
    assert next(blocks) == b"new\n"
