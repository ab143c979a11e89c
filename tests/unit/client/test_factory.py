import sys

import pytest

from tests.helpers.providers import Provider
from vllmd.client import PROVIDERS, CostTracker, Message, ProviderError, get_client

ASK: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


def settings(name: str, server: Provider) -> dict[str, str]:
    base = server.url if name == "anthropic" else f"{server.url}/v1"
    more = {"ready_url": f"{server.url}/ready"} if name == "vllm" else {}
    return {"api_key": "k", "base_url": base, **more}


@pytest.mark.long  # to import the SDKs takes seconds of CPU
@pytest.mark.parametrize("name", PROVIDERS)
def test_one_variable_switches_the_provider(
    name: str, server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against local servers in the shape of each API."""
    monkeypatch.setenv("LLM_PROVIDER", name.upper())
    tracker = CostTracker()
    client = get_client(**settings(name, server), tracker=tracker)
    reply = client.chat(ASK, max_tokens=50)
    assert (reply.text, reply.provider) == ("hello there", name)
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == (10, 5, 4)
    stream = client.stream(ASK)
    assert list(stream) == ["hello ", "there "]
    assert stream.reply is not None
    assert (stream.reply.text, stream.reply.usage) == ("hello there ", usage)
    assert tracker.by_model()[reply.model].answers == 2
    assert tracker.unknown == frozenset()
    assert (tracker.total == 0) is (name == "vllm")


@pytest.mark.long  # to import the SDKs takes seconds of CPU
def test_the_model_is_the_argument_the_variable_or_the_default(
    server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings("openai", server)
    assert get_client("openai", **given).model == "gpt-4o-mini"
    monkeypatch.setenv("LLM_MODEL", "gpt-5")
    assert get_client("openai", **given).model == "gpt-5"
    assert get_client("openai", model="gpt-4o", **given).model == "gpt-4o"
    monkeypatch.delenv("LLM_MODEL")
    client = get_client("vllm", **settings("vllm", server))
    client.chat(ASK)
    assert server.asked[-1]["model"] == "base"


@pytest.mark.parametrize("name", ["", "opanai"])
def test_a_provider_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(ProviderError, match="give one of: openai, anthropic, vllm"):
        get_client(name)


@pytest.mark.long  # to import the SDKs takes seconds of CPU
def test_a_missing_key_is_said(server: Provider) -> None:
    with pytest.raises(ProviderError, match=r"openai: .*api_key"):
        get_client("openai")
    with pytest.raises(ProviderError, match="anthropic"):
        get_client("anthropic", base_url=server.url).chat(ASK)


def test_a_missing_sdk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllmd.client.anthropic_client", None)
    with pytest.raises(ProviderError, match="with its extra 'client'"):
        get_client("anthropic")
