import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli import ask as ask_module
from vllmd.cli.ask import command
from vllmd.cli.asking import AskError, EngineApi, TimedAnswer
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.errors import VllmdError


class FakeApi:
    """Serves `tiny` and `sql`; `sql` may be broken."""

    broken: str | None = None
    asked: list[tuple[str, str, int]] = []  # noqa: RUF012 - emptied by the fixture
    keys: list[str | None] = []  # noqa: RUF012

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        self.keys.append(key)

    def models(self) -> list[str]:
        return ["tiny", "sql"]

    def named_models(self) -> list[tuple[str, ...]]:
        return [("tiny", "small"), ("sql",)]

    def ask(self, model: str, prompt: str, max_tokens: int, show: Any) -> TimedAnswer:
        if model == self.broken:
            raise AskError(f"{model} is broken")
        self.asked.append((model, prompt, max_tokens))
        show("Hello")
        return TimedAnswer(model, "Hello", 0.02, 1.02, 21, "stop")


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> type[FakeApi]:
    monkeypatch.setattr(ask_module, "EngineApi", FakeApi)
    monkeypatch.setattr(FakeApi, "asked", [])
    monkeypatch.setattr(FakeApi, "keys", [])
    monkeypatch.setattr(FakeApi, "broken", None)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    assert issubclass(EngineApi, object)
    return FakeApi


CHAT = FakeEngine("chat", served_names=("tiny",))


def run(folder: Path, *arguments: str, engines: tuple[FakeEngine, ...] = (CHAT,)) -> Result:
    with control_socket(folder / "c.sock", *engines) as path:
        return CliRunner().invoke(command, ["--socket", str(path), *arguments])


def test_the_answer_is_output_and_the_figures_are_not(tmp_path: Path) -> None:
    result = run(tmp_path, "Why?")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Hello\n"
    assert result.stderr == "tiny: first token after 20 ms, then 20.0 tokens/s, 21 tokens\n"
    assert FakeApi.asked == [("tiny", "Why?", 128)]


def test_pieces_are_shown_as_they_come(tmp_path: Path) -> None:
    assert run(tmp_path, "Why?", "--stream").stdout == "Hello\n"


def test_an_adapter_is_found_by_what_the_engine_lists(tmp_path: Path) -> None:
    assert run(tmp_path, "Why?", "-m", "sql", "--max-tokens", "3").exit_code == 0
    assert FakeApi.asked == [("sql", "Why?", 3)]


def test_a_model_that_nobody_serves_is_refused_with_what_there_is(tmp_path: Path) -> None:
    result = run(tmp_path, "-m", "nosuch")
    assert isinstance(result.exception, VllmdError)
    assert result.exception.exit_code == 66
    assert "no engine serves 'nosuch'; there is: tiny, sql" in str(result.exception)


def test_all_asks_each_and_fails_if_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(tmp_path, "--all")
    assert result.exit_code == 0, result.output
    assert [model for model, *_ in FakeApi.asked] == ["tiny", "sql"]
    assert {tokens for *_, tokens in FakeApi.asked} == {16}
    monkeypatch.setattr(FakeApi, "broken", "sql")
    result = run(tmp_path, "--all")
    assert result.exit_code == 1
    assert "FAILED: sql is broken" in result.stdout
    assert "tiny, small" in result.stdout
    assert "first token after 20 ms" in result.stdout
    shown = json.loads(run(tmp_path, "--all", "--json").stdout)
    assert [(each["model"], each["error"]) for each in shown] == [
        ("tiny", None),
        ("sql", "sql is broken"),
    ]


HOLD = Hold("unknown_flag", "The flag is unknown.", 0.0, None, "0123")


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"state": State.LOADING, "phase": "weights", "start_left_s": 40.0}, 75, "(weights, 40s"),
        ({"state": State.BACKOFF}, 75, "'vllmd start chat --wait' waits until it serves"),
        ({"state": State.HELD, "hold": HOLD}, 65, "flag is unknown. 'vllmd why chat' says more"),
        ({"state": State.STOPPED}, 1, "'vllmd start chat --wait' starts it"),
    ],
)
def test_an_engine_that_does_not_serve_says_what_it_does(
    tmp_path: Path, more: dict[str, Any], code: int, said: str
) -> None:
    engine = FakeEngine("chat", served_names=("tiny",), **more)
    result = run(tmp_path, "Why?", engines=(engine,))
    assert isinstance(result.exception, VllmdError)
    assert result.exception.exit_code == code
    assert said in str(result.exception)
    everything = run(tmp_path, "--all", engines=(engine,))
    assert everything.exit_code == 1
    assert said in everything.stdout


def test_several_engines_want_one_named(tmp_path: Path) -> None:
    engines = (CHAT, FakeEngine("code", served_names=("coder",)))
    assert "several engines (chat, code)" in run(tmp_path, engines=engines).output
    assert run(tmp_path, "-e", "code", engines=engines).exit_code == 0
    assert run(tmp_path, "-m", "coder", engines=engines).exit_code == 0
    assert [model for model, *_ in FakeApi.asked] == ["coder", "coder"]
    result = run(tmp_path, "-e", "nosuch", engines=engines)
    assert isinstance(result.exception, VllmdError)
    assert result.exception.exit_code == 66


def test_the_key_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("VLLM_API_KEY", "from-environment")
    run(tmp_path)
    run(tmp_path, "--api-key-file", str(tmp_path / "key"))
    assert FakeApi.keys == ["from-environment", "from-file"]
    result = run(tmp_path, "--api-key-file", str(tmp_path / "nosuch"))
    assert "nosuch" in str(result.exception)


def test_all_and_a_model_exclude_each_other(tmp_path: Path) -> None:
    assert "leave out --model" in run(tmp_path, "--all", "-m", "sql").output
