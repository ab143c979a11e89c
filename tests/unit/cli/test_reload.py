import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli.reload import command, describe
from vllmd.errors import ConfigError

PLAN = {
    "added": ["embed"],
    "removed": ["old", "older"],
    "running": ["old"],
    "applied": {"": ["daemon.poll_s"]},
    "restart": {"chat": ["env.HF_TOKEN"]},
}


def test_reload_prints_what_changed(tmp_path: Path) -> None:
    host = FakeHost()
    host.plan = PLAN
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        result = CliRunner().invoke(command, ["--socket", str(path)])
        as_json = CliRunner().invoke(command, ["--socket", str(path), "--json"])
    assert result.exit_code == 0, result.output
    assert "the daemon: in force now: daemon.poll_s" in result.output
    assert "needs a restart for: env.HF_TOKEN ('vllmd restart chat'" in result.output
    assert "embed: new, is being started" in result.output
    assert "old: not configured any more; it runs on" in result.output
    assert "older: not configured any more\n" in result.output
    assert json.loads(as_json.output[as_json.output.index("{") :]) == PLAN


def test_reload_apply_says_what_is_done() -> None:
    lines = list(describe(PLAN, {}, applied=True))
    assert "chat: is being restarted with: env.HF_TOKEN" in lines
    assert "old: not configured any more, was stopped" in lines


def test_describe_names_how_a_removed_engine_is_ended() -> None:
    lines = list(describe(PLAN, {"old": 77}, applied=False))
    assert any("'kill 77' ends it in order" in line for line in lines)


def test_describe_nothing() -> None:
    assert list(describe(FakeHost().plan, {}, applied=True)) == ["nothing changed"]


def test_reload_of_a_broken_file_is_a_config_error(tmp_path: Path) -> None:
    host = FakeHost()
    host.error = ConfigError("line 3: modle")
    with (
        control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path,
        pytest.raises(ConfigError, match="line 3"),
    ):
        CliRunner().invoke(command, ["--socket", str(path)], catch_exceptions=False)
