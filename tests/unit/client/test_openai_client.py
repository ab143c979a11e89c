from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from tests.helpers.providers import Provider
from vllmd.client.interface import Message, ProviderError

if TYPE_CHECKING:
    from vllmd.client.openai_client import OpenAIClient

pytestmark = pytest.mark.long  # to import the SDK takes seconds of CPU

ASK: list[Message] = [{"role": "user", "content": "hi"}]


class Answer(BaseModel):
    yes: bool


@pytest.fixture
def client(server: Provider) -> OpenAIClient:
    from vllmd.client.openai_client import OpenAIClient

    return OpenAIClient("gpt-4o", api_key="k", base_url=f"{server.url}/v1", max_retries=1)


def test_chat_sends_what_it_was_given(client: OpenAIClient, server: Provider) -> None:
    client.chat(ASK, model="gpt-5", max_tokens=7, temperature=0.5)
    (asked,) = server.asked
    assert (asked["model"], asked["max_completion_tokens"], asked["temperature"]) == (
        "gpt-5",
        7,
        0.5,
    )
    assert server.headers[0]["authorization"] == "Bearer k"


def test_structured_returns_an_object(client: OpenAIClient, server: Provider) -> None:
    server.text = '{"yes": true}'
    assert client.structured(ASK, Answer) == Answer(yes=True)
    assert server.asked[0]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(("text", "ends"), [('{"yes": 3}', "stop"), ("{", "length"), ("no", None)])
def test_structured_that_is_none_is_an_error(
    client: OpenAIClient, server: Provider, text: str, ends: str | None
) -> None:
    server.text, server.ends = text, ends
    with pytest.raises(ProviderError, match="openai"):
        client.structured(ASK, Answer)


def test_what_passes_is_tried_again_by_the_sdk(client: OpenAIClient, server: Provider) -> None:
    server.refusals = [(429, {"retry-after": "0.01"})]
    assert client.chat(ASK).text == "hello there"
    assert len(server.asked) == 2


def test_what_does_not_pass_is_said_with_its_status(client: OpenAIClient, server: Provider) -> None:
    server.refusals = [(400, {})]
    with pytest.raises(ProviderError, match=r"openai answered 400.*not now") as caught:
        client.chat(ASK)
    assert caught.value.status == 400


def test_a_stream_that_breaks_off_is_an_error(client: OpenAIClient, server: Provider) -> None:
    server.broken = True
    stream = client.stream(ASK)
    with pytest.raises(ProviderError, match="before it was complete"):
        list(stream)
    assert stream.reply is None


def test_without_a_model_it_says_so(server: Provider) -> None:
    from vllmd.client.openai_client import OpenAIClient

    with pytest.raises(ProviderError, match="name a model"):
        OpenAIClient(api_key="k", base_url=server.url).chat(ASK)
