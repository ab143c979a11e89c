"""What was read beside what runs."""

import pytest

from vllmd.cli import import_check
from vllmd.cli.import_check import RunningComparison, check_running
from vllmd.cli.import_process import Running
from vllmd.importing.result import engines_of
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings


def checked(monkeypatch: pytest.MonkeyPatch, line: str, *runs: Running) -> RunningComparison:
    monkeypatch.setattr(import_check, "running", lambda: iter(runs))
    launches = read(Source(line), Surroundings(), Notes())
    return check_running(engines_of(launches, None, Surroundings(), Notes()))


def test_the_same_command_said_otherwise_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Running(7, ("--model", "m", "--max-model-len", "8000"), {"HF_HOME": "/x", "Y": "1"})
    found = checked(monkeypatch, "HF_HOME=/x vllm serve m --max_model_len=8k", runs)
    assert found.same
    assert list(found.lines()) == ["check main: process 7 runs as it was read"]


def test_differences_are_named_and_secrets_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Running(7, ("m", "--api-key", "other-key", "--seed", "1"), {})
    found = checked(monkeypatch, "HF_HOME=/x vllm serve m --api-key one-key", runs)
    assert not found.same
    assert [each[0] for each in found.engines[0].differences] == ["--api-key", "--seed", "HF_HOME"]
    assert "key" not in str(found.as_json()).replace("--api-key", "")


def test_nothing_that_runs_at_the_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(monkeypatch, "vllm serve m --port 1", Running(7, ("m",), {}))
    assert not found.same
    assert list(found.lines()) == ["check main: no vLLM runs here with port 1"]
