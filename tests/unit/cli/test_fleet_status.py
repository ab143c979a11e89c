import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from tests.helpers.fleet_pages import fleet_pages, page_engine
from vllmd.cli.fleet_status import lines, status
from vllmd.config.fleet import FleetHost
from vllmd.errors import VllmdError


def shown(config: Path, *options: str) -> str:
    result = CliRunner().invoke(status, ["-c", str(config), *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_host_has_a_line_and_one_that_is_silent_its_reason(tmp_path: Path) -> None:
    held = page_engine(state="held", up=False, reason="No GPU.", requests_running=None)
    with fleet_pages(tmp_path, [page_engine()], [held], silent=1) as made:
        found = shown(made.config).splitlines()
    assert found[:2] == ["3 hosts, 1 not answering", "tiny: 1 of 2 ready"]
    assert found[3].split() == [
        *("HOST", "ENGINE", "STATE", "FOR", "RUN/WAIT", "TOK/S", "VLLM", "WHY"),
    ]
    assert found[4].split()[1:] == ["chat", "ready", "1m", "30s", "3/1", "1,840", "0.32.0"]
    assert found[5].split()[1:] == [
        "chat",
        "held",
        "1m",
        "30s",
        "-",
        "1,840",
        "0.32.0",
        "No",
        "GPU.",
    ]
    assert found[6].endswith("  Connection refused")
    assert len(found) == 7


def test_json_has_the_hosts_own_documents(tmp_path: Path) -> None:
    with fleet_pages(tmp_path, [page_engine()], silent=1) as made:
        found = json.loads(shown(made.config, "--json"))
    first, second = found["hosts"]
    assert first["status"]["engines"][0]["name"] == "chat"
    assert first["problem"] is None
    assert second["status"] is None
    assert second["problem"].endswith(": Connection refused")


def test_without_hosts_this_hosts_daemon_is_asked(tmp_path: Path) -> None:
    config = tmp_path / "vllmd.toml"
    config.write_text("")
    with control_socket(tmp_path / "c.sock", FakeEngine("a"), FakeEngine("b")) as path:
        found = shown(config, "--socket", str(path))
    assert found.startswith("1 host\nm: 2 of 2 ready\n")
    assert "this-host  a       ready" in found


def test_what_is_unequal_and_too_few_are_said_in_a_line_each() -> None:
    pages: dict[FleetHost, Any] = {
        FleetHost("a"): {"at": 1100.0, "engines": [page_engine(command_changed=True)]},
        FleetHost("b"): {"at": 1100.0, "engines": [page_engine(vllm_version="0.33.0")]},
        FleetHost("c"): {"at": 1100.0, "engines": [page_engine(wanted=False, up=False)]},
        FleetHost("d"): VllmdError("d: no answer within 5 s"),
    }
    found = list(lines(pages, 3, None))
    assert "tiny: 2 of 2 ready, fewer than min_ready (3)" in found[1]
    assert "versions of vLLM differ: 0.32.0 (2), 0.33.0 (1)" in found[-2]
    assert "older configuration on a; 'vllmd fleet restart chat'" in found[-1]
    assert any("stopped by hand" in line for line in found)
    assert any("d  " in line and "no answer within 5 s" in line for line in found)


def test_lines_fit_a_narrow_terminal() -> None:
    held = page_engine(state="held", up=False, reason="A long reason, " * 20)
    pages = {FleetHost("gpu01"): {"at": 1100.0, "engines": [held]}}
    from vllmd.cli import terminal

    with terminal.of_width(80):
        found = [click.unstyle(terminal.ansi(line)) for line in lines(pages, 1, 80)]
    assert max(map(len, found)) == 80
    assert found[-1].startswith("gpu01  chat    held   1m 40s")
    assert found[-1].endswith("…")
    assert found[-1].count("A long reason") >= 2


def test_an_engine_that_nobody_wants_is_not_too_few() -> None:
    stopped = page_engine(state="stopped", up=False, wanted=False)
    found = list(lines({FleetHost("a"): {"at": 1.0, "engines": [stopped]}}, 1, None))
    assert "tiny: 0 of 0 ready" in found[1]
    assert "fewer" not in found[1]


def test_one_whose_answers_are_wrong_is_not_counted_as_ready_and_is_red() -> None:
    wrong = page_engine(wrong_answers="2.64 nats", reason="its answers are wrong, and …")
    pages: dict[FleetHost, Any] = {
        FleetHost("a"): {"at": 1100.0, "engines": [page_engine()]},
        FleetHost("b"): {"at": 1100.0, "engines": [wrong]},
    }
    from vllmd.cli import terminal

    found = list(lines(pages, 1, None))
    assert "tiny: 1 of 2 ready" in found[1]
    assert terminal.style("ready", fg="red") in found[-1]


ODD: tuple[Any, ...] = (
    None,
    0,
    -1,
    1e400,
    float("nan"),
    1e308,
    "x",
    "",
    [],
    [1],
    {},
    {"a": 1},
    True,
)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_what_a_page_has_of_another_kind_ends_nothing(odd: object) -> None:
    """Each field in turn, and each field of what is in it, beside a host that is well."""
    parts: dict[str, dict[str, Any]] = {
        "group": {"role": "head", "id": "abc", "size": 2, "vllm": "0.32.0"},
        "probe": {"verdict": "right", "asked_at": 1.0, "found": "x"},
        "hold": {"reason": "r"},
        "last_exit": {"requested": False, "at": 1, "text": "x", "diagnosis": {"explanation": "x"}},
    }
    more: dict[str, Any] = {
        "phase": "load",
        "reason": "x",
        "command_changed": True,
        "wrong_answers": "x",
    }
    whole = page_engine(**{**more, **parts})
    broken = [{**whole, key: odd} for key in whole]
    broken += [{**whole, key: {**parts[key], field: odd}} for key in parts for field in parts[key]]
    documents: list[Any] = [{"at": 1100.0, "engines": [each]} for each in broken]
    documents += [{"at": odd, "engines": [whole]}, {"at": 1100.0, "engines": odd}]
    for document in documents:
        pages = {FleetHost("a"): document, FleetHost("b"): {"at": 1.0, "engines": [page_engine()]}}
        assert any(line.startswith("b  ") for line in lines(pages, 1, 100)), document


def test_replica_that_sleeps_is_not_missed() -> None:
    asleep = page_engine(state="sleeping", up=False)
    pages: dict[FleetHost, Any] = {
        FleetHost("a"): {"at": 1100.0, "engines": [asleep]},
        FleetHost("b"): {"at": 1100.0, "engines": [asleep]},
    }
    found = list(lines(pages, 1, None))[1]
    assert "tiny: 0 of 0 ready, 2 asleep" in found
    assert "min_ready" not in found
