"""What all clients do alike; with the SDKs themselves in the tests of each, and of the factory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Message, ProviderError, Reply, S, Stream, TokenUsage
from vllmd.client.sdk_client import SdkClient

ASK: list[Message] = [{"role": "user", "content": "hi"}]


class Answer(BaseModel):
    yes: bool


class RefusedError(Exception):
    """An answer that is a refusal, as SDKs have it."""

    status_code = 429
    message = "not now"


class Fake(SdkClient):
    """A provider that answers with the name of the model, or raises."""

    provider = "fake"
    errors = (RefusedError, ValueError)
    status_error = RefusedError

    def __init__(self, model: str | None = None, tracker: CostTracker | None = None) -> None:
        super().__init__(model, tracker)
        self.raises: Exception | None = None
        self.parsed: object = None
        self.refusal: str | None = None

    def _asked(
        self,
        messages: Sequence[Message],
        model: str,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        return {"messages": messages, "model": model, "max_tokens": max_tokens, **options}

    def _create(self, asked: Mapping[str, Any], schema: type[S] | None = None) -> Any:
        del schema
        if self.raises is not None:
            raise self.raises
        return asked

    def _pieces(self, stream: Stream, asked: Mapping[str, Any]) -> Iterator[str]:
        yield str(asked["model"])
        stream.reply = self._counted(self._reply(asked))

    def _reply(self, answer: Any) -> Reply:
        return Reply(repr(answer), answer["model"], self.provider, TokenUsage(1, 2), "stop")

    def _parsed(self, answer: Any) -> Any:
        del answer
        return self.parsed

    def _refused(self, answer: Any) -> str | None:
        return self.refusal or super()._refused(answer)


def test_every_way_to_ask_names_the_model_hands_on_the_options_and_is_counted() -> None:
    tracker = CostTracker()
    client = Fake("base", tracker)
    client.parsed = Answer(yes=True)
    assert "'max_tokens': 7, 'top_p': 1" in client.chat(ASK, max_tokens=7, top_p=1).text
    assert list(client.stream(ASK, model="other")) == ["other"]
    assert client.structured(ASK, Answer) == Answer(yes=True)
    assert {name: each.answers for name, each in tracker.by_model().items()} == {
        "base": 2,
        "other": 1,
    }


def test_no_model_is_an_error_before_anything_is_asked() -> None:
    for ask in (Fake().chat, Fake().stream):
        with pytest.raises(ProviderError, match="fake: name a model, as an argument or by LLM_MO"):
            ask(ASK)


def test_refusal_has_its_status_and_any_other_error_has_none() -> None:
    client = Fake("base")
    client.raises = RefusedError()
    with pytest.raises(ProviderError, match="fake answered 429: not now") as caught:
        client.chat(ASK)
    assert caught.value.status == 429
    client.raises = ValueError("no address")
    with pytest.raises(ProviderError, match="fake: no address") as caught:
        client.structured(ASK, Answer)
    assert (caught.value.status, caught.value.__cause__) == (None, client.raises)
    client.raises = KeyError("ours")
    with pytest.raises(KeyError):
        client.chat(ASK)


@pytest.mark.parametrize(("refusal", "why"), [(None, "it ended with stop"), ("I won't", "I won't")])
def test_structured_without_an_object_says_why(refusal: str | None, why: str) -> None:
    client = Fake("base")
    client.refusal = refusal
    with pytest.raises(ProviderError, match=f"fake gave no Answer: {why}"):
        client.structured(ASK, Answer)
