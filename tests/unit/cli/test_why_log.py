import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers.make import DATA
from vllmd.cli.why import command
from vllmd.errors import VllmdError

KILLED = DATA / "engine-logs" / "cpu-0.32-engine-core-killed.log"


def why(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin, catch_exceptions=False)


@pytest.mark.parametrize("by_stdin", [False, True])
def test_why_log_names_the_cause_of_any_run(by_stdin: bool) -> None:
    stdin = KILLED.read_bytes() if by_stdin else None
    shown = json.loads(why("--log", "-" if by_stdin else str(KILLED), "--json", stdin=stdin).output)
    assert list(shown)[:5] == ["cause", "kind", "explanation", "advice", "evidence"]
    assert {"what", "why", "done", "next", "more"} <= set(shown)
    assert (shown["cause"], shown["kind"]) == ("engine_core_died", "transient")
    text = why("--log", str(KILLED), "--exit-code", "0").output
    words = " ".join(text.split())
    assert words.startswith(
        f"What The last run in {KILLED} ended with exit code 0. Why The part of"
    )
    assert all(len(line) <= 80 for line in text.splitlines() if str(KILLED) not in line)
    assert "Next If nobody killed it" in words


def test_why_log_masks_secrets_and_says_what_cannot_be_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("FooError: token hf_abcdefghijklmnopqrstuvwx was refused\n")
    output = why("--log", str(log)).output
    assert "hf_abc" not in output
    assert "FooError" in output
    with pytest.raises(VllmdError, match="cannot be read: No such file"):
        why("--log", str(tmp_path / "none"))
    assert why("--exit-code", "1").exit_code == 2


def test_why_log_masks_what_the_configuration_calls_a_secret(tmp_path: Path) -> None:
    path, log = tmp_path / "vllmd.toml", tmp_path / "a.log"
    path.write_text('[engines.chat]\nmodel = "m"\n[engines.chat.env]\nHF_TOKEN = "planted-5ae1"\n')
    log.write_text("FooError: planted-5ae1 was refused\n")
    output = why("--log", str(log), "--config", str(path)).output
    assert "planted-5ae1" not in output
    assert "FooError" in output
    path.write_text("[engines.chat\n")
    assert "FooError" in why("--log", str(log), "--config", str(path)).output
