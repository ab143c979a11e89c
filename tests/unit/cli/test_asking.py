import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.listening import Handler, listening
from vllmd.cli.asking import AskError, EngineApi, TimedAnswer


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def piece(text: str, reason: str | None = None) -> bytes:
    return event(choices=[{"delta": {"content": text}, "finish_reason": reason}])


DONE = b"data: [DONE]\n\n"
USAGE = event(choices=[], usage={"completion_tokens": 7})


class Engine:
    """An engine that answers what a test tells it."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    @property
    def api(self) -> EngineApi:
        return EngineApi(self.url, "k3y", 5)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()

    class Answering(Handler):
        def reply(self) -> None:
            body = json.loads(self.body()) if self.command == "POST" else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.asked.append((self.path, headers, body))
            self.answer(*made.answers.get(self.path, (404, b"")))

    with listening(Answering) as made.url:
        yield made


CHAT = "/v1/chat/completions"


def test_ask_shows_the_pieces_and_counts_what_the_engine_says(engine: Engine) -> None:
    engine.answers[CHAT] = (200, piece("Hel") + piece("lo", "stop") + USAGE + DONE)
    shown: list[str] = []
    answer = engine.api.ask("sql", "hi", 20, shown.append)
    assert shown == ["Hel", "lo"]
    assert (answer.text, answer.completion_tokens, answer.finish_reason) == ("Hello", 7, "stop")
    assert 0 < answer.time_to_first_token_s <= answer.total_s
    ((path, headers, body),) = engine.asked
    assert path == CHAT
    assert headers["authorization"] == "Bearer k3y"
    assert headers["tracestate"] == "vllmd=sql"
    assert len(headers["traceparent"]) == 55
    assert (body["model"], body["max_tokens"]) == ("sql", 20)
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_ask_takes_the_first_token_of_reasoning_for_the_first(engine: Engine) -> None:
    thought = event(choices=[{"delta": {"reasoning": "hm"}}])
    engine.answers[CHAT] = (200, thought + piece("x", "stop") + DONE)
    answer = engine.api.ask("m", "hi", 20, lambda _: None)
    assert (answer.text, answer.completion_tokens) == ("x", 1)
    assert answer.tokens_per_second is None


def test_ask_of_a_model_without_a_chat_template_completes(engine: Engine) -> None:
    refusal = json.dumps({"error": {"message": "default chat template is no longer allowed"}})
    engine.answers[CHAT] = (400, refusal.encode())
    text = event(choices=[{"text": "abc", "finish_reason": "length"}])
    engine.answers["/v1/completions"] = (200, text + DONE)
    assert engine.api.ask("m", "hi", 5, lambda _: None).text == "abc"
    assert engine.asked[-1][2]["prompt"] == "hi"


@pytest.mark.parametrize(
    ("status", "content", "problem"),
    [
        (401, b"", "wants its API key: set VLLM_API_KEY"),
        (404, b'{"error": {"message": "The model `x` does not exist."}}', "404: The model `x`"),
        (500, b"<html>", "answered 500: <html>"),
        (200, piece("Hel"), "ended before it was complete"),
        (200, piece("x") + event(error={"message": "EngineDeadError"}), "EngineDeadError"),
        (200, b"data: {nonsense\n\n", "the answer was cut off"),
        (200, b"", "ended before it was complete"),
    ],
)
def test_ask_says_what_came_instead(
    engine: Engine, status: int, content: bytes, problem: str
) -> None:
    engine.answers[CHAT] = (status, content)
    with pytest.raises(AskError, match=problem):
        engine.api.ask("x", "hi", 5, lambda _: None)


def test_nobody_there_is_said() -> None:
    with pytest.raises(AskError, match="did not answer"):
        EngineApi("http://127.0.0.1:9", None, 1).models()


def test_models_are_listed(engine: Engine) -> None:
    engine.answers["/v1/models"] = (200, b'{"data": [{"id": "tiny"}, {"id": "sql"}]}')
    assert engine.api.models() == ["tiny", "sql"]


def test_names_of_one_model_are_together(engine: Engine) -> None:
    listed = [
        {"id": "tiny", "root": "/m", "parent": None},
        {"id": "small", "root": "/m", "parent": None},
        {"id": "sql", "root": "/a", "parent": "tiny"},
        {"id": "copy", "root": "/a", "parent": "tiny"},
    ]
    engine.answers["/v1/models"] = (200, json.dumps({"data": listed}).encode())
    assert engine.api.named_models() == [("tiny", "small"), ("sql",), ("copy",)]


def test_tokens_per_second_are_those_after_the_first() -> None:
    assert TimedAnswer("m", "", 1.0, 3.0, 11, "stop").tokens_per_second == 5.0
