"""The example with each provider; OpenAI and Anthropic are local servers in their shape."""

from collections.abc import Iterator

import pytest

from tests.helpers.example import rag_service
from tests.helpers.providers import Provider, provider

pytestmark = pytest.mark.long  # to import FastAPI and both SDKs takes seconds of CPU


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.mark.parametrize(
    ("name", "model", "cost"),
    [("openai", "gpt-4o-mini", 4.2e-06), ("anthropic", "claude-haiku-4-5", 3.14e-05)],
)
def test_the_service_answers_with_the_provider_that_the_variable_names(
    name: str, model: str, cost: float, server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient

    monkeypatch.setenv("LLM_PROVIDER", name)
    monkeypatch.setenv(f"{name.upper()}_API_KEY", "k")
    url = f"{server.url}/v1" if name == "openai" else server.url
    monkeypatch.setenv(f"{name.upper()}_BASE_URL", url)
    monkeypatch.delenv("LLM_MODEL", raising=False)
    client = TestClient(rag_service().create_app())
    asked = client.post("/rag", json={"question": "What does a drain do with requests?"})
    assert asked.status_code == 200, asked.text
    answer = asked.json()
    assert (answer["answer"], answer["provider"], answer["model"]) == ("hello there", name, model)
    assert answer["cost_usd"] == pytest.approx(cost)
    assert answer["passages"][0]["source"] == "stopping.md"
    assert "lets requests in flight finish" in str(server.asked[0]["messages"])
    costs = client.get("/costs").json()
    assert costs["total_usd"] == pytest.approx(cost)
    assert costs["unknown_prices"] == []


def test_the_service_says_what_the_provider_said(
    server: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient

    monkeypatch.setenv("LLM_PROVIDER", "openai")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    client = TestClient(rag_service().create_app())
    server.refusals = [(400, {})]
    refused = client.post("/rag", json={"question": "zebra"})
    assert refused.status_code == 502
    assert "openai answered 400" in refused.json()["detail"]
    assert "(no passage fits)" in str(server.asked[0]["messages"])
    assert client.post("/rag", json={"question": " "}).status_code == 422
