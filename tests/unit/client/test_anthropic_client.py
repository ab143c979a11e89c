from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from tests.helpers.providers import Provider
from vllmd.client.interface import Message, ProviderError

if TYPE_CHECKING:
    from vllmd.client.anthropic_client import AnthropicClient

pytestmark = pytest.mark.long  # to import the SDK takes seconds of CPU

ASK: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


class Answer(BaseModel):
    yes: bool


@pytest.fixture
def client(server: Provider) -> AnthropicClient:
    from vllmd.client.anthropic_client import AnthropicClient

    return AnthropicClient("claude-haiku-4-5", api_key="k", base_url=server.url, max_retries=1)


def test_chat_puts_the_system_message_where_anthropic_wants_it(
    client: AnthropicClient, server: Provider
) -> None:
    from vllmd.client.anthropic_client import MAX_TOKENS

    client.chat(ASK)
    (asked,) = server.asked
    assert asked["system"] == "Be brief."
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert asked["max_tokens"] == MAX_TOKENS


def test_structured_returns_an_object(client: AnthropicClient, server: Provider) -> None:
    server.text = '{"yes": true}'
    assert client.structured(ASK, Answer, max_tokens=9) == Answer(yes=True)
    assert server.asked[0]["max_tokens"] == 9


def test_structured_that_is_none_is_an_error(client: AnthropicClient, server: Provider) -> None:
    server.text = "no"
    with pytest.raises(ProviderError, match="anthropic"):
        client.structured(ASK, Answer)


def test_refusals_pass_or_are_said(client: AnthropicClient, server: Provider) -> None:
    server.refusals = [(529, {"retry-after": "0.01"}), (400, {})]
    with pytest.raises(ProviderError, match="anthropic answered 400") as caught:
        client.chat(ASK)
    assert caught.value.status == 400
    assert len(server.asked) == 2


def test_without_a_model_it_says_so(server: Provider) -> None:
    from vllmd.client.anthropic_client import AnthropicClient

    with pytest.raises(ProviderError, match="name a model"):
        AnthropicClient(api_key="k", base_url=server.url).chat(ASK)
