import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from tests.helpers.advise import case, observed
from tests.helpers.control import FakeAdvisor, FakeEngine, control_socket
from vllmd.advise.observed import Observed
from vllmd.advise.rules import advise
from vllmd.cli.advise import command
from vllmd.errors import UnknownEngineError

DIFF = (
    "--- /etc/vllmd/vllmd.toml\n+++ /etc/vllmd/vllmd.toml\n-max_num_seqs = 16\n+max_num_seqs = 32\n"
)


def shown(seen: Observed | None = None, text: str = "max_num_seqs = 16", **more: Any) -> Any:
    seen = seen or observed(queued_s=9000.0, highest={"running": 16.0, "kv_cache": 0.3})
    advice = [{**attrs.asdict(each), "diff": DIFF} for each in advise(case(text, seen=seen))]
    values: dict[str, Any] = {
        "engine": "chat",
        "enough": True,
        "first_day": "2026-01-30",
        "requests": seen.finished,
        "other_commands_s": 0.0,
        "observed": seen.to_json(),
        "advice": advice,
    }
    return {"since": 0, "until": 1, "config": "/c", "engines": [{**values, **more}]}


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    def run(given: Any, *args: str) -> Result:
        advisor = FakeAdvisor(given)
        with control_socket(tmp_path / "c.sock", FakeEngine(), advisor=advisor) as path:
            return CliRunner().invoke(command, [*args, "--socket", str(path)])

    return run


def test_advise_shows_figures_effect_risk_and_the_change(ask: Any) -> None:
    text = ask(shown()).output
    assert "chat: 5,000 requests in 10h, seen since 2026-01-30" in text
    assert "1. max_num_seqs = 32 (now 16)" in text
    assert "   Why    requests waited for 2h 30m of 10h (25%)" in text
    assert "   Effect 32 requests are computed at once" in text
    assert "   Risk   each token takes longer" in text
    assert "   +max_num_seqs = 32" in text
    assert "then: vllmd check && vllmd reload && vllmd restart chat" in text
    assert max(map(len, text.splitlines())) <= 80


def test_advise_is_brief_when_there_is_nothing_to_say(ask: Any) -> None:
    assert ask(shown(observed())).output.splitlines() == [
        "chat: 5,000 requests in 10h, seen since 2026-01-30",
        "nothing to change",
    ]
    early = shown(Observed(watched_s=60.0), enough=False, other_commands_s=7200.0)
    assert ask(early).output.splitlines()[1] == (
        "too little to say anything: 1h and 200 requests are needed; 2h with another command do "
        "not count"
    )
    assert "not seen with its present command" in ask(shown(Observed(), enough=False)).output


def test_advise_says_when_a_change_is_to_be_made_by_hand(ask: Any) -> None:
    given = shown()
    given["engines"][0]["advice"][0] |= {"diff": None, "value": None, "key": ["flags", "x"]}
    text = ask(given).output
    assert "1. take flags.x out" in text
    assert "edit it by hand" in text


def test_advise_gives_json_of_one_engine(ask: Any) -> None:
    (found,) = json.loads(ask(shown(), "chat", "--json").output)["engines"]
    assert found["advice"][0]["value"] == 32
    assert isinstance(ask(shown(), "gone").exception, UnknownEngineError)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_advise_refuses_a_time_that_is_none(ask: Any, value: str) -> None:
    result = ask(shown(), "--ttft", value)
    assert result.exit_code == 2
    assert "is no time above 0" in result.output
