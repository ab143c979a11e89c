from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers.providers import Provider
from vllmd.client.interface import Message, ProviderError

if TYPE_CHECKING:
    from vllmd.client.vllm_client import VLLMClient

pytestmark = pytest.mark.long  # to import the SDK takes seconds of CPU

ASK: list[Message] = [{"role": "user", "content": "hi"}]


def client(server: Provider, model: str | None = None, wait_s: float = 5.0) -> VLLMClient:
    from vllmd.client.vllm_client import VLLMClient

    url = server.url
    return VLLMClient(model, base_url=f"{url}/v1", ready_url=f"{url}/ready", wait_s=wait_s)


def test_an_adapter_is_the_model_and_its_span_is_known_by_it(server: Provider) -> None:
    client(server).chat(ASK, model="sql")
    assert server.asked[0]["model"] == "sql"
    assert server.headers[0]["tracestate"] == "vllmd=sql"
    assert server.headers[0]["traceparent"].startswith("00-")
    assert server.headers[0]["authorization"] == "Bearer EMPTY"


def test_the_base_model_is_taken_where_none_is_named(server: Provider) -> None:
    asked = client(server)
    asked.chat(ASK)
    assert asked.model == "base"
    assert asked.models() == ["base", "sql"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_engine_that_restarts_is_waited_for(server: Provider, status: int) -> None:
    server.refusals = [(status, {"retry-after": "0.01"}), (status, {"retry-after": "0.01"})]
    assert client(server).chat(ASK).text == "hello there"
    assert len(server.asked) == 3


def test_patience_ends(server: Provider) -> None:
    server.refusals = [(503, {"retry-after": "0.01"})] * 100
    with pytest.raises(ProviderError, match="vllm answered 503"):
        client(server, wait_s=0.1).chat(ASK)


def test_an_engine_that_is_away_is_said(server: Provider) -> None:
    from vllmd.client.vllm_client import VLLMClient

    gone = VLLMClient("m", base_url="http://127.0.0.1:9/v1", wait_s=0.0)
    with pytest.raises(ProviderError, match="Connection error"):
        gone.chat(ASK)


def test_a_model_that_is_not_served_is_said_with_those_that_are(server: Provider) -> None:
    server.refusals = [(404, {})]
    with pytest.raises(ProviderError, match="There is: base, sql; 'vllmd lora list'") as caught:
        client(server).chat(ASK, model="nope")
    assert caught.value.status == 404


def test_a_bad_request_is_not_tried_again(server: Provider) -> None:
    server.refusals = [(400, {})]
    with pytest.raises(ProviderError, match="vllm answered 400"):
        client(server, model="m").chat(ASK)
    assert len(server.asked) == 1


def test_settings_come_from_variables(server: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllmd.client.vllm_client import VLLMClient

    monkeypatch.setenv("VLLM_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("VLLM_API_KEY", "s3cret")
    VLLMClient("m").chat(ASK)
    assert server.headers[0]["authorization"] == "Bearer s3cret"


def test_readiness_is_asked_for_on_the_same_host() -> None:
    from vllmd.client.vllm_client import _ready_url

    assert _ready_url("http://gpu1:8000/v1") == "http://gpu1:9840/-/ready"
    assert _ready_url("http://[::1]:8000/v1") == "http://[::1]:9840/-/ready"
