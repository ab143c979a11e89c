import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from click.testing import CliRunner, Result

from tests.helpers.comparing import measured
from tests.helpers.control import FakeEngine, FakePage, control_socket
from vllmd.cli.engine import command
from vllmd.comparing.bench import LoadSpec, Round
from vllmd.comparing.record import keep
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.errors import CompareError, UnknownEngineError

SCRIPT = """#!/bin/bash
while [ $# -gt 0 ]; do [ "$1" = --result-dir ] && dir=$2; shift; done
echo '{{"failed": {failed}, "output_throughput": {rate}, "median_ttft_ms": 100, "p95_ttft_ms": 300,
"p95_itl_ms": 20, "total_input_tokens": {tokens},
"generated_texts": ["a","b","c","d","e","f","g","h","i","j"]}}' > $dir/result.json
"""


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(FakePage, "version", "0.32.0")
    program = tmp_path / "vllm"
    config = tmp_path / "vllmd.toml"
    config.write_text(f'[engines.chat]\nmodel = "m"\nexecutable = "{program}"\n')

    def run(
        *more: str, rate: float = 100.0, tokens: int = 5000, failed: int = 0, **status: Any
    ) -> Result:
        program.write_text(SCRIPT.format(rate=rate, tokens=tokens, failed=failed))
        program.chmod(0o755)
        status = {"requests_running": 0, "requests_waiting": 0, "run_id": uuid4().hex, **status}
        with control_socket(tmp_path / "c.sock", FakeEngine(**status)) as path:
            where = ["--records", str(tmp_path / "records"), "-c", str(config)]
            given = ["compare", "chat", *where, "--socket", str(path), *more]
            return CliRunner().invoke(command, given)

    return run


def keep_old(folder: Path, rounds: Sequence[Round] = (), **more: Any) -> None:
    values = {"model": "m", "program": str(folder / "vllm"), "load": LoadSpec(), **more}
    keep(folder / "records", measured(*rounds, **values))


def test_the_first_measure_is_kept_and_says_what_to_do_next(compare: Any, tmp_path: Path) -> None:
    text = compare("--rounds", "2").output
    assert "chat: vLLM 0.32.0 is measured, and kept in" in text
    assert "run the same command after the upgrade" in text
    (path,) = (tmp_path / "records" / "chat").glob("0.32.0-*.json")
    assert len(json.loads(path.read_text())["rounds"]) == 2
    assert json.loads(compare("--json").stdout)["before"] is None


def test_a_version_that_is_as_good_stays(compare: Any, tmp_path: Path) -> None:
    keep_old(tmp_path)
    result = compare()
    assert result.exit_code == 0
    assert "chat: vLLM 0.32.0 beside 0.31.0" in result.output
    assert "stay with 0.32.0: nothing is worse" in result.output
    assert "the same answers: 100%; of 0.31.0 alone, asked twice: 100%" in result.output


def test_a_version_that_is_worse_goes_back(compare: Any, tmp_path: Path) -> None:
    keep_old(tmp_path)
    result = compare(rate=50.0)
    assert result.exit_code == 1
    assert "go back: worse in answered tokens" in result.output
    assert "vllmd engine rollback && vllmd restart chat" in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    shown = json.loads(compare("--json", rate=50.0).stdout)
    assert (shown["before"], shown["worse"]) == ("0.31.0", ["answered tokens"])


def test_answers_that_differ_are_to_be_looked_at(compare: Any, tmp_path: Path) -> None:
    others = tuple("0123456789")
    keep_old(
        tmp_path, rounds=[attrs.evolve(r, answers=others) for r in measured().rounds], again=others
    )
    result = compare()
    assert "look at the answers" in result.output
    assert result.exit_code == 0


def test_other_prompts_are_refused(compare: Any, tmp_path: Path) -> None:
    keep_old(tmp_path)
    result = compare(tokens=4000)
    assert isinstance(result.exception, CompareError)
    assert "the prompts are not those of 0.31.0" in str(result.exception)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"state": State.LOADING}, "chat is loading: only one that serves"),
        ({"requests_running": 3}, "has requests under way"),
    ],
)
def test_what_cannot_be_measured_is_said(compare: Any, status: Any, said: str) -> None:
    result = compare(**status)
    assert isinstance(result.exception, CompareError)
    assert said in str(result.exception)


def test_a_run_whose_cache_knows_the_prompts_is_not_measured_again(compare: Any) -> None:
    assert compare(run_id="r1").exit_code == 0
    result = compare(run_id="r1")
    assert "its prefix cache knows the prompts: 'vllmd restart chat' first" in str(result.exception)
    assert compare("--requests", "7", run_id="r1").exit_code == 0
    assert compare(run_id="r2").exit_code == 0


def test_requests_of_others_may_be_there_if_that_is_wanted(compare: Any) -> None:
    assert compare("--while-serving", requests_running=3).exit_code == 0


def test_an_engine_that_is_not_configured_is_named(compare: Any, tmp_path: Path) -> None:
    (tmp_path / "vllmd.toml").write_text('[engines.other]\nmodel = "m"\n')
    assert isinstance(compare().exception, UnknownEngineError)


def test_engine_that_ended_while_it_was_measured_is_not_judged(
    compare: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, engine = iter(("one", "two")), ControlClient.engine

    def anew(client: ControlClient, name: str) -> dict[str, Any]:
        return {**engine(client, name), "run_id": next(asked)}

    monkeypatch.setattr(ControlClient, "engine", anew)
    result = compare()
    assert "ended while it was measured" in str(result.exception)
    assert not list((tmp_path / "records").glob("*/*.json"))


def test_requests_that_fail_by_chance_are_told(compare: Any, tmp_path: Path) -> None:
    keep_old(tmp_path)
    result = compare(failed=1)
    assert "stay with 0.32.0" in result.output
    assert "some requests failed, no more than by chance" in result.output
