import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli import logs
from vllmd.errors import DaemonUnreachableError, UnknownEngineError, VllmdError
from vllmd.shim import logfiles


def test_logs_shows_the_last_lines_of_the_daemons_engine(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_bytes(b"one\ntwo\nthree\xff\n")
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log))) as path:
        result = CliRunner().invoke(logs.command, ["chat", "-n", "2", "--socket", str(path)])
    assert result.stdout == "two\nthree\\xff\n"


def test_logs_of_weights_are_beside_the_engines(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_text("engine\n")
    (tmp_path / "chat.weights.log").write_text("weights\n")
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log))) as path:
        result = CliRunner().invoke(logs.command, ["chat", "--weights", "--socket", str(path)])
    assert result.stdout == "weights\n"


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


def test_logs_of_the_only_engine_need_no_name(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_text("INFO 11-23 one\nERROR 11-23 two\n")
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log))) as path:
        options = ["--socket", str(path), "--level", "error", "--json"]
        result = CliRunner().invoke(logs.command, options)
    assert json.loads(result.output) == {
        "engine": "chat",
        "at": None,
        "process": None,
        "pid": None,
        "level": "error",
        "text": "ERROR 11-23 two",
    }


def log_of(folder: Path, name: str, *lines: tuple[float, str]) -> str:
    """Write a log as a shim does, with the times at which lines came beside it."""
    log, times, offset = folder / f"{name}.log", "", 0
    for at, text in lines:
        times += f"{offset} {at}\n"
        offset += len(text) + 1
    log.write_text("".join(f"{text}\n" for _, text in lines))
    Path(logfiles.times(str(log), 1)).write_text(times)
    return str(log)


def two_logs(folder: Path) -> tuple[FakeEngine, FakeEngine]:
    first = ((1.0, "INFO 11-23 one"), (1.0, "  more of one"), (3.0, "INFO 11-23 three"))
    second = ((2.0, "INFO 11-23 two"), (4.0, "ERROR 11-23 four"))
    chat, embed = log_of(folder, "chat", *first), log_of(folder, "embed", *second)
    return FakeEngine(log=chat), FakeEngine(name="embed", log=embed)


def words(output: str) -> list[str]:
    return [f"{line.split()[0]} {line.split()[-1]}" for line in output.splitlines()]


def test_logs_of_several_engines_are_in_the_order_in_which_they_were_printed(
    tmp_path: Path,
) -> None:
    with control_socket(tmp_path / "c.sock", *two_logs(tmp_path)) as path:
        every = CliRunner().invoke(logs.command, ["--socket", str(path), "--all"]).output
        named = CliRunner().invoke(logs.command, ["embed", "chat", "--socket", str(path)]).output
        last = CliRunner().invoke(logs.command, ["--socket", str(path), "-n", "2"]).output
        errors = CliRunner().invoke(logs.command, ["--socket", str(path), "--level", "err"]).output
    order = ["chat one", "chat one", "embed two", "chat three", "embed four"]
    assert words(every) == words(named) == order
    assert every.startswith("chat  | INFO")
    assert words(last) == order[-2:]
    assert words(errors) == order[-1:]


def test_logs_of_several_engines_name_the_one_that_has_none(tmp_path: Path) -> None:
    engines = two_logs(tmp_path)
    (tmp_path / "chat.log").unlink()
    with control_socket(tmp_path / "c.sock", *engines) as path:
        result = CliRunner().invoke(logs.command, ["--socket", str(path)])
    assert "chat has printed nothing yet" in result.stderr
    assert "four" in result.stdout


@pytest.mark.parametrize(
    ("options", "error"),
    [(["-g", "("], "not a regular expression"), (["--level", "loud"], "'loud' is not one of")],
)
def test_logs_wrong_command_line_is_refused(options: list[str], error: str) -> None:
    result = CliRunner().invoke(logs.command, options)
    assert result.exit_code == 2
    assert error in result.output


def test_logs_all_is_from_the_oldest_file_on(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_text("".join(f"{n}\n" for n in range(200)))
    (tmp_path / "chat.log.000001").write_text("oldest\n")
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log))) as path:
        run = CliRunner().invoke
        assert len(run(logs.command, ["chat", "--socket", str(path)]).output.split()) == 100
        shown = run(logs.command, ["chat", "--all", "--socket", str(path)]).output.split()
    assert shown == ["oldest", *map(str, range(200))]


def test_logs_follow_goes_on_over_a_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "chat.log"
    log.write_text("one\n")
    rotated = tmp_path / "chat.log.000001"

    def sleep(_: float) -> None:
        if rotated.exists():
            raise KeyboardInterrupt
        log.rename(rotated)
        log.write_text("2\n")

    monkeypatch.setattr(time, "sleep", sleep)
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log))) as path:
        result = CliRunner().invoke(logs.command, ["chat", "-f", "--socket", str(path)])
    assert result.output.split()[:2] == ["one", "2"]


def test_logs_rotate_asks_the_daemon_for_one_or_all(tmp_path: Path) -> None:
    host = FakeHost()
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        options = ["--socket", str(path)]
        assert CliRunner().invoke(logs.command, ["rotate", "chat", *options]).exit_code == 0
        assert CliRunner().invoke(logs.command, ["rotate", *options]).exit_code == 0
        assert host.rotated == ["chat", "chat"]
        host.error = UnknownEngineError("no engine 'x'")
        result = CliRunner().invoke(logs.command, ["rotate", "x", *options])
    assert isinstance(result.exception, UnknownEngineError)


def test_logs_of_what_is_no_file_says_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "chat.log")
    engine = FakeEngine(log=str(tmp_path / "chat.log"))
    with (
        control_socket(tmp_path / "c.sock", engine) as path,
        pytest.raises(VllmdError, match="it is a FIFO, not a regular file"),
    ):
        CliRunner().invoke(logs.command, ["chat", "--socket", str(path)], catch_exceptions=False)


def test_logs_end_with_a_word_where_the_newest_lines_are_not_on_the_disk(tmp_path: Path) -> None:
    log, host = tmp_path / "chat.log", FakeHost()
    log.write_text("one\n")
    host.log_problems["chat"] = "No space left on device"
    with control_socket(tmp_path / "c.sock", FakeEngine(log=str(log)), host=host) as path:
        result = CliRunner().invoke(logs.command, ["chat", "--socket", str(path)])
    assert result.stdout == "one\n"
    assert "vllmd: its log is not written: No space left on device" in result.stderr
