import tarfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli.bundle import command
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited

SECRET = "planted-secret-value"


def site(folder: Path) -> Path:
    config = folder / "v.toml"
    config.write_text(
        f'[daemon]\nstate_dir = "{folder}/state"\nlog_dir = "{folder}/log"\n'
        f'[engines.chat]\nmodel = "m"\nenv = {{ HF_TOKEN = "{SECRET}" }}\n'
    )
    (folder / "log").mkdir()
    (folder / "log" / "chat.log").write_text(f"token {SECRET}\nprompt: 'my diary'\n")
    incident = folder / "state" / "incidents" / "1-chat"
    incident.mkdir(parents=True)
    (incident / "reason.json").write_text(f'"{SECRET}"')
    return config


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames()}
        return {
            name.partition("/")[2]: file.read().decode() for name, file in files.items() if file
        }


def test_bundle_has_everything_but_what_is_private(tmp_path: Path) -> None:
    config, target = site(tmp_path), tmp_path / "b.tar.gz"
    host = FakeHost()
    fields = {"requested": False, "text": f"said {SECRET}", "cause": "killed"}
    host.found = [Event(time.time(), EngineExited.name, "error", "chat", fields, 1)]
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        result = CliRunner().invoke(
            command, ["-c", str(config), "--socket", str(path), "-o", str(target)]
        )
    assert result.exit_code == 0, result.output
    assert "look through it before you publish it" in result.output
    found = contents(target)
    assert set(found) == {
        *("about.json", "status.json", "metrics.txt", "events.jsonl", "why.txt", "vllmd.toml"),
        *("incidents/1-chat/reason.json", "logs/chat.log", "missing.txt"),
    }
    assert "chat failed" in found["why.txt"]
    assert SECRET not in str(found)
    assert "diary" not in str(found)


def test_bundle_without_a_daemon_says_what_is_missing(tmp_path: Path) -> None:
    config, target = site(tmp_path), tmp_path / "b.tar.gz"
    where = ["-c", str(config), "--socket", str(tmp_path / "none"), "-o", str(target)]
    result = CliRunner().invoke(command, where)
    assert result.exit_code == 0
    found = contents(target)
    assert "status and metrics: no vllmd answers" in found["missing.txt"]
    assert "not in it: status and metrics: no vllmd answers" in result.output
    assert "logs/chat.log" in found
    with pytest.raises(VllmdError, match="exists already"):
        CliRunner().invoke(command, where, catch_exceptions=False)


def test_bundle_of_a_broken_configuration_has_no_secret_either(tmp_path: Path) -> None:
    config, target = site(tmp_path), tmp_path / "b.tar.gz"
    config.write_text(config.read_text() + "[broken\n")
    where = ["-c", str(config), "--socket", str(tmp_path / "none"), "-o", str(target)]
    assert CliRunner().invoke(command, where).exit_code == 0
    found = contents(target)
    assert "[broken" in found["vllmd.toml"]
    assert SECRET not in str(found)


def test_bundle_of_a_daemon_that_was_told_of_another_file_has_its_files(tmp_path: Path) -> None:
    config, target = site(tmp_path), tmp_path / "b.tar.gz"
    host = FakeHost()
    host.more["config"] = str(config)
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        result = CliRunner().invoke(command, ["--socket", str(path), "-o", str(target)])
    assert result.exit_code == 0, result.output
    found = contents(target)
    assert "[engines.chat]" in found["vllmd.toml"]
    assert "logs/chat.log" in found
    assert found["missing.txt"] == "nothing is missing\n"
    assert "not in it" not in result.output


def test_bundle_says_which_files_are_not_there(tmp_path: Path) -> None:
    target, other = tmp_path / "b.tar.gz", tmp_path / "c.tar.gz"
    host = FakeHost()
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        given = ["--socket", str(path), "-o", str(target), "-c", str(tmp_path / "none.toml")]
        assert CliRunner().invoke(command, given).exit_code == 0
        host.more["config"] = None
        assert CliRunner().invoke(command, [*given[:2], "-o", str(other)]).exit_code == 0
    assert "vllmd.toml: " in contents(target)["missing.txt"]
    missing = contents(other)["missing.txt"]
    assert "vllmd.toml: the daemon runs without a file" in missing
    assert "logs/chat.log: there is none in" in missing
