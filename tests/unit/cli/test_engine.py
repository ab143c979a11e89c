"""`vllmd engine`; with real uv, wheels and a daemon in tests/integration/test_engines.py."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.helpers.make import DATA
from tests.helpers.wheels import fake_engine
from vllmd.cli import engine
from vllmd.errors import DaemonUnreachableError, InstallError, NotPermittedError
from vllmd.installing import nvidia_driver
from vllmd.installing.layout import MARKER, RECORDS, InstalledEngines, InstallRecord
from vllmd.installing.probing import FLAGS


@pytest.fixture
def engines(tmp_path: Path) -> InstalledEngines:
    made = InstalledEngines(tmp_path)
    for name in ("0.31.0", "0.32.0+cpu", "0.33.0"):
        fake_engine(tmp_path / name)
    (tmp_path / "0.33.0" / MARKER).touch()
    made.write(InstallRecord("0.31.0", "0.31.0", "2.12", "12.9", "3.12.3", "/p", 1_764_000_000.0))
    made.use("0.31.0")
    return made


def run(engines: InstalledEngines, *arguments: str) -> Result:
    where = ["--prefix", str(engines.prefix)]
    if arguments[0] in ("use", "rollback", "install"):
        where += ["--socket", str(engines.prefix / "no.sock")]
    return CliRunner().invoke(engine.command, [*arguments, *where], catch_exceptions=False)


def test_list_shows_what_each_is(engines: InstalledEngines) -> None:
    lines = run(engines, "list").output.splitlines()
    assert lines[0].split() == ["ENGINE", "VERSION", "BUILD", "PYTHON", "INSTALLED"]
    assert lines[1].split()[:5] == ["0.31.0", "0.31.0", "CUDA", "12.9", "3.12.3"]
    assert lines[1].split()[5:] == ["2025-11-24", "current"]
    assert lines[2].split()[:2] == ["0.32.0+cpu", "?"]
    assert lines[3].endswith("incomplete")
    shown = json.loads(run(engines, "list", "--json").output)
    assert shown["prefix"] == str(engines.prefix)
    assert [each["is"] for each in shown["engines"]] == [["current"], [], ["incomplete"]]
    assert (
        "'vllmd engine install' gets one"
        in run(InstalledEngines(engines.prefix / "x"), "list").output
    )


def test_use_and_rollback_without_a_daemon(engines: InstalledEngines) -> None:
    said = run(engines, "use", "0.32.0").output
    assert said == "0.32.0+cpu is current; it was 0.31.0: 'vllmd engine rollback' goes back\n"
    shown = json.loads(run(engines, "rollback", "--json").output)
    assert shown == {"current": "0.31.0", "previous": "0.32.0+cpu"}
    assert run(engines, "use", "0.31.0").output == "0.31.0 is the current engine\n"


class _Client:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.began = 1.0

    def status(self) -> dict[str, Any]:
        return {"daemon": {"started_at": self.began}}

    def reload(self, *, apply: bool) -> dict[str, Any]:
        assert not apply
        if self._error:
            raise self._error
        self.began += 1
        return {"restart": {"chat": ["executable"]}}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "chat serves on with what it was started with, until 'vllmd restart chat'"),
        (DaemonUnreachableError("nobody"), ""),
        (NotPermittedError("no right"), "the daemon was not notified: no right"),
    ],
)
def test_daemon_is_told_and_what_is_left_to_do_is_said(error: Exception | None, words: str) -> None:
    said = engine._reload_daemon(_Client(error))  # type: ignore[arg-type]
    assert (said[:1] or [""]) == [words]


def test_install_wants_to_know_which_build_where_there_is_no_gpu(
    engines: InstalledEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia_driver, "has_gpu", lambda: False)
    with pytest.raises(InstallError, match=r"--cpu for the build.*--cuda"):
        run(engines, "install")
    assert "no version such as 0.32.0" in run(engines, "install", "newest").output


def test_install_makes_current_unless_told_not_to(
    engines: InstalledEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = InstallRecord("0.32.0+cpu", "0.32.0+cpu", "2.13", None, "3.12.3", "/p", 1.0)
    seen: list[Any] = []

    def install(*given: Any) -> InstallRecord:
        seen.append(given)
        return made

    monkeypatch.setattr(engine, "install", install)
    said = run(engines, "install", "0.32.0", "--cpu", "--no-use", "--python", "3.12")
    assert "'vllmd engine use 0.32.0+cpu' makes it the current one" in said.output
    assert seen[0][2].python == "3.12"
    assert engines.current == "0.31.0"
    shown = json.loads(run(engines, "install", "0.19.0", "--cpu", "--json").stdout)
    assert shown["current"]
    assert engines.current == "0.32.0+cpu"
    assert "not tested with vLLM 0.19.0" in run(engines, "install", "0.19.0", "--cpu").output


def test_flags_are_searched_and_shown(engines: InstalledEngines) -> None:
    with pytest.raises(InstallError, match=r"flags of 0\.31\.0 were never read"):
        run(engines, "flags")
    text = (DATA / "flags" / "vllm-0.32-cpu.json").read_text()
    (engines.prefix / RECORDS / f"0.31.0{FLAGS}").write_text(text)
    said = run(engines, "flags", "--grep", "^--kv-cache-dtype ").stdout
    assert said.splitlines()[1].startswith("--kv-cache-dtype  auto|bfloat16")
    assert "deprecated: " in run(engines, "flags", "--grep", "cascade").stdout
    shown = json.loads(run(engines, "flags", "--json", "--grep", "max-num-seqs").stdout)
    assert any(each["names"] == ["--max-num-seqs"] for each in shown["flags"])
    assert run(engines, "flags", "--grep", "(").exit_code == 2


def test_current_engine_is_meant_where_none_is_named(tmp_path: Path) -> None:
    for verb in ("verify", "flags"):
        result = run(InstalledEngines(tmp_path), verb)
        assert result.exit_code == 2
        assert "is the current one: name one" in " ".join(result.output.split())


def test_installed_engines_complete(engines: InstalledEngines) -> None:
    context = click.Context(engine.command)
    context.params["engines"] = engines
    parameter = engine.command.commands["use"].params[0]
    assert engine.complete_installed(context, parameter, "0.3") == engines.names()
    assert engine.complete_installed(context, parameter, "0.33") == ["0.33.0"]
    context.params["engines"] = InstalledEngines(engines.prefix / "0.31.0" / "bin" / "vllm")
    assert engine.complete_installed(context, parameter, "") == []
