import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.helpers.control import FakeEngine, FakeProbes, control_socket
from vllmd.cli.probe import command, lines
from vllmd.errors import VllmdError

RIGHT: dict[str, Any] = {
    "engine": "chat",
    "verdict": "right",
    "on_mismatch": "alert",
    "asked": 7,
    "mismatches": 0,
    "asked_in_run": True,
    "asked_at": 1000.0,
    "right_at": 1000.0,
    "distance": 0.0123,
    "limit": 0.15,
    "recorded_at": 400.0,
    "recorded_by": "vllmd",
    "recorded_with": "0.32.0",
    "found": None,
    "corrupted": None,
    "overlap": 0.98,
    "prompt": 2,
    "token": 4,
    "expected": [{"token": 5, "logprob": -0.1}, {"token": 9, "logprob": -3.0}],
    "given": [{"token": 9, "logprob": -0.2}],
}
WRONG = {
    **RIGHT,
    "verdict": "wrong",
    "distance": 2.5,
    "found": "2.50 nats from the reference (0.15 allowed)",
}


def probe(folder: Path, shown: dict[str, Any], *more: str) -> tuple[Result, FakeProbes]:
    probes = FakeProbes(shown)
    with control_socket(folder / "c.sock", FakeEngine(), probes=probes) as path:
        return CliRunner().invoke(command, ["chat", "--socket", str(path), *more]), probes


def test_right_answers_are_said_with_their_distance(tmp_path: Path) -> None:
    result, probes = probe(tmp_path, RIGHT)
    assert result.exit_code == 0, result.output
    assert probes.asked == [("chat", False)]
    assert "chat: answers right" in result.output
    assert "0.012 nats from the reference (0.150 allowed), 98% of tokens the same" in result.output


def test_wrong_answers_are_said_with_what_differs_and_fail(tmp_path: Path) -> None:
    result, _ = probe(tmp_path, WRONG)
    assert result.exit_code == 1
    assert "most in    prompt 3, token 5" in result.output
    assert "expected   5 (90.5%), 9 (5.0%)" in result.output
    assert "given      9 (81.9%)" in result.output


def test_json_has_all_of_it(tmp_path: Path) -> None:
    result, _ = probe(tmp_path, WRONG, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == WRONG


def test_record_is_passed_on(tmp_path: Path) -> None:
    assert probe(tmp_path, RIGHT, "--record")[1].asked == [("chat", True)]


def test_record_that_is_refused_fails(tmp_path: Path) -> None:
    refused = {**RIGHT, "verdict": "unknown", "recorded": False}
    assert probe(tmp_path, refused, "--record")[0].exit_code == 1
    assert probe(tmp_path, {**RIGHT, "recorded": True}, "--record")[0].exit_code == 0
    assert probe(tmp_path, {**RIGHT, "recorded": False})[0].exit_code == 0


def test_lines_say_when_the_reference_was_recorded() -> None:
    assert "reference  recorded 10m ago by vllmd, vLLM 0.32.0" in list(lines(RIGHT, 1000.0))


def test_lines_of_what_cannot_be_looked_at_say_why() -> None:
    nothing = dict.fromkeys(RIGHT)
    shown = {
        **nothing,
        "engine": "embed",
        "verdict": "not_applicable",
        "asked": 0,
        "mismatches": 0,
        "found": "HTTP 404",
    }
    said = list(lines(shown, 1.0))
    assert said[0].endswith("embed: answers not applicable") or "not applicable" in said[0]
    assert "found      HTTP 404" in said


def test_nothing_found_now_is_an_error_and_not_what_was_found_before(tmp_path: Path) -> None:
    shown = {**RIGHT, "problem": "it was not asked: HTTP 503: no"}
    result, _ = probe(tmp_path, shown)
    assert result.exit_code == 1
    assert "chat: answers right before" in result.output
    assert isinstance(result.exception, VllmdError) or "HTTP 503" in result.output
    assert "HTTP 503" in f"{result.exception} {result.output}"
    result, _ = probe(tmp_path, shown, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problem"] == shown["problem"]
