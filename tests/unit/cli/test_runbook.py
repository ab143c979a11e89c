"""`vllmd runbook`: a page, the list, and a hint at a name that is nearly right."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.runbook import _concerned, command
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.http import runbook_pages


@pytest.fixture(autouse=True)
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLMD_SOCKET", str(tmp_path / "none.sock"))


def test_page_is_printed_as_it_is_kept() -> None:
    result = CliRunner().invoke(command, ["VllmdDown"])
    assert result.output == runbook_pages.read("VllmdDown")
    shown = json.loads(CliRunner().invoke(command, ["VllmdDown", "--json"]).output)
    assert shown == {"alert": "VllmdDown", "markdown": runbook_pages.read("VllmdDown")}


def test_without_a_name_all_are_listed() -> None:
    assert CliRunner().invoke(command, []).output.split() == runbook_pages.names()
    assert json.loads(CliRunner().invoke(command, ["--json"]).output) == runbook_pages.names()


def test_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(VllmdError, match="no runbook 'VllmdGone'; did you mean \"VllmdDown\""):
        CliRunner().invoke(command, ["VllmdGone"], catch_exceptions=False)


def test_commands_are_for_the_engine_that_is_named() -> None:
    result = CliRunner().invoke(command, ["VllmdEngineDown", "embed"])
    assert "vllmd logs embed --since 15m" in result.output
    assert "ENGINE" not in result.output


def test_commands_are_for_the_only_engine(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine("code")) as path:
        result = CliRunner().invoke(command, ["VllmdEngineDown", "--socket", str(path)])
    assert "vllmd restart code" in result.output


@pytest.mark.parametrize(
    ("concerned", "meant"),
    [(("embed",), "embed"), (("embed", "chat"), None), ((), None), ((None,), None)],
)
def test_engine_is_the_one_that_the_alert_applies_to(
    concerned: tuple[str | None, ...], meant: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    document: dict[str, Any] = {
        "engines": [{"name": "chat"}, {"name": "embed"}],
        "conditions": [{"alert": "VllmdX", "engine": name} for name in concerned]
        + [{"alert": "VllmdY", "engine": "chat"}],
    }
    client = ControlClient(Path("/none"))
    monkeypatch.setattr(ControlClient, "status", lambda _: document)
    assert _concerned(client, "VllmdX") == meant
