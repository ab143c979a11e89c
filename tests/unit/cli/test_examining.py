import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.doctor import WELL
from tests.helpers.make import DATA, config
from tests.helpers.models import CONFIGS
from tests.helpers.wheels import fake_engine
from vllmd.cli import examining
from vllmd.cli.examining import HostView, as_table, lines_of, look, make_case
from vllmd.control.client import ControlClient
from vllmd.doctor import hub, service
from vllmd.doctor.account import UserAccount
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.doctor.service import Service
from vllmd.installing.layout import RECORDS, InstalledEngines, InstallRecord
from vllmd.installing.probing import FLAGS

ROOT = UserAccount("root", 0, frozenset())


def view(**env: str) -> HostView:
    return HostView(WELL, ROOT, {"PATH": "/bin", "HOME": "/nowhere", **env})


def test_root_looks_as_the_unit_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Service({"HF_HOME": "/var/cache/vllmd/hf"}, 120.0, None, 65536)
    monkeypatch.setattr(service, "find", lambda: unit)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = look(config(""), ControlClient(tmp_path / "none"))
    assert found.inherited["HF_HOME"] == "/var/cache/vllmd/hf"
    assert (found.host.stop_s, found.host.open_files) == (120.0, 65536)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert look(config(""), ControlClient(tmp_path / "none")).host.stop_s is None


def test_case_has_what_is_known_of_the_program(tmp_path: Path) -> None:
    program = fake_engine(tmp_path / "0.32.0")
    record = InstallRecord("0.32.0", "0.32.0", "2.13", "13.0", "3.12", str(program), 1.0)
    InstalledEngines(tmp_path).write(record)
    flags = (DATA / "flags" / "vllm-0.32-cpu.json").read_text()
    (tmp_path / RECORDS / f"0.32.0{FLAGS}").write_text(flags)
    text = f'[engines.a]\nmodel = "{tmp_path}"\nexecutable = "{program}"\n'
    case = make_case(config(text), "a", view())
    assert case.installed == record
    assert case.flag_table is not None
    assert case.found
    missing = make_case(config(text.replace("bin/vllm", "bin/no")), "a", view())
    assert (missing.found, missing.installed, missing.flag_table) == (False, None, None)


@pytest.mark.parametrize(
    ("model", "env", "network", "asked"),
    [
        ("org/m", {}, True, ["org/m"]),
        ("org/m", {}, False, []),
        ("org/m", {"HF_HUB_OFFLINE": "1"}, True, []),
        ("/no/folder", {}, True, []),
    ],
)
def test_hub_is_asked_only_for_what_must_be_downloaded(
    model: str,
    env: dict[str, str],
    network: bool,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def problem(name: str, _env: object) -> str:
        seen.append(name)
        return "gone"

    monkeypatch.setattr(hub, "problem", problem)
    made = config(f'[engines.a]\nmodel = "{model}"\nexecutable = "sh"\n')
    case = make_case(made, "a", view(**env), network=network)
    assert seen == asked
    assert case.hub == ("gone" if asked else None)


def test_model_that_can_be_downloaded_is_known_by_the_hubs_config(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "problem", lambda *_: None)
    monkeypatch.setattr(hub, "config_of", lambda *_: CONFIGS["Qwen3-8B"])
    made = config('[engines.a]\nmodel = "org/m"\nexecutable = "sh"\n')
    case = make_case(made, "a", view())
    assert case.model.folder is None
    assert case.model.is_estimate
    assert case.capacity is not None
    assert make_case(made, "a", view(), network=False).model.config == {}


def test_stand_in_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining.hub, "problem", lambda *_: pytest.fail("asked"))  # type: ignore[attr-defined]
    made = config('[engines.a]\nmodel = "org/m"\nexecutable = "stand-in"\n')
    assert make_case(made, "a", view()).hub is None


def test_finding_is_three_lines_and_a_table() -> None:
    finding = Finding("clock", FindingSeverity.WARNING, "it drifts", "Why.", "Do.", "chat")
    lines = list(lines_of(finding))
    assert "warning clock: it drifts" in lines[0]
    assert lines[1:] == ["      Why.", "      → Do."]
    table: dict[str, Any] = as_table(finding)
    assert (table["page"], table["engine"]) == ("docs/doctor.md#clock", "chat")
