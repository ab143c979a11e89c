"""The client and the example service against a real vLLM."""

import threading
import time
from typing import Literal

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from tests.engine.conftest import LOAD_S, REPORT
from tests.helpers.example import rag_service
from tests.helpers.site import Site, wait_for
from vllmd.client import CostTracker, Message, ProviderError, get_client

ASK: list[Message] = [{"role": "user", "content": "hello"}]


class Verdict(BaseModel):
    """Something that even random weights can be made to say."""

    verdict: Literal["yes", "no"]


@pytest.fixture(autouse=True)
def at_the_engine(real: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_PROVIDER", "vllm")
    monkeypatch.setenv("VLLM_BASE_URL", f"{real.api}/v1")
    monkeypatch.setenv("VLLMD_READY_URL", f"{real.exporter}/ready/tiny")
    monkeypatch.delenv("LLM_MODEL", raising=False)


def test_chat_stream_and_structured_with_the_base_model_and_an_adapter(real: Site) -> None:
    tracker = CostTracker()
    client = get_client(tracker=tracker)
    before = real.samples("vllmd_span_requests_total").get(("domain", "tiny"), 0)
    for model in (None, "domain"):
        reply = client.chat(ASK, model=model, max_tokens=8)
        assert reply.model == (model or "tiny")
        assert 1 <= reply.usage.output_tokens <= 8
        stream = client.stream(ASK, model=model, max_tokens=8)
        assert "".join(stream) == (stream.reply.text if stream.reply else None)
        verdict = client.structured(
            ASK, Verdict, model=model, max_tokens=400, temperature=2.0, seed=1
        )  # hot: cold random weights would fill the JSON with white space
        assert verdict.verdict in ("yes", "no")
    assert tracker.total == 0
    assert tracker.unknown == frozenset()

    def counted() -> bool:
        return real.samples("vllmd_span_requests_total").get(("domain", "tiny"), 0) == before + 3

    wait_for("the adapter's spans", counted, 20)
    with pytest.raises(ProviderError, match="There is: tiny, domain"):
        client.chat(ASK, model="nope")


def test_the_example_switches_to_the_engine_by_the_variable_alone() -> None:
    client = TestClient(rag_service().create_app())
    for model in (None, "domain"):
        asked = client.post(
            "/rag", json={"question": "What does a drain do?", "model": model, "max_tokens": 8}
        )
        assert asked.status_code == 200, asked.text
        answer = asked.json()
        assert (answer["provider"], answer["model"]) == ("vllm", model or "tiny")
        assert answer["cost_usd"] == 0
        assert answer["passages"][0]["source"] == "stopping.md"
        assert answer["input_tokens"] > 100
    assert client.get("/costs").json()["total_usd"] == 0


def test_a_request_waits_while_the_engine_restarts(real: Site) -> None:
    client = get_client(wait_s=LOAD_S)
    client.chat(ASK, max_tokens=2)
    before = real.engine("tiny")
    real.control.act("tiny", "restart")
    # while it drains it still answers
    wait_for("its end", lambda: real.engine("tiny")["run_id"] != before["run_id"], 60)
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(client.chat(ASK, max_tokens=2).model))
    began = time.monotonic()
    asking.start()
    asking.join(LOAD_S)
    assert answers == ["tiny"]
    assert real.engine("tiny")["run_id"] != before["run_id"]
    REPORT.append(
        f"a request of the client waited {time.monotonic() - began:.0f} s for a restart, and was "
        "answered"
    )
