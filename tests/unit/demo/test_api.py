import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from vllmd.demo.adapter import write_adapter
from vllmd.demo.api import DemoApi
from vllmd.demo.args import parse_args
from vllmd.demo.engine import DemoRequest, EngineDeadError
from vllmd.demo.lora import LoadedAdapters
from vllmd.demo.metrics import Metrics
from vllmd.demo.spans import Spans


class FakeEngine:
    """Answers at once."""

    def __init__(self) -> None:
        self.died = asyncio.Event()

    async def generate(
        self, request: DemoRequest, finished: Callable[[], None]
    ) -> AsyncIterator[str]:
        if self.died.is_set():
            raise EngineDeadError
        for _ in range(request.max_tokens):
            request.tokens += 1
            yield "word"
        finished()


@pytest.fixture
def api(tmp_path: Path) -> DemoApi:
    folder = write_adapter(tmp_path / "domain")
    args = parse_args(
        [
            *("serve", "m", "--served-model-name", "tiny", "--max-model-len", "100"),
            *("--enable-lora", "--lora-modules", f"domain={folder}"),
        ]
    )
    engine: Any = FakeEngine()
    return DemoApi(args, engine, Metrics(args), Spans(None), LoadedAdapters(args))


@pytest.fixture
def client(api: DemoApi) -> TestClient:
    return TestClient(api.app())


def chat(client: TestClient, **more: Any) -> Any:
    body = {"messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4, **more}
    return client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("model", ["tiny", "domain"])
def test_chat_answers_for_base_and_adapter(client: TestClient, model: str) -> None:
    answer = chat(client, model=model).json()
    assert answer["model"] == model
    assert answer["choices"][0]["message"]["content"] == "word word word word"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_chat_streams_chunks_to_done(client: TestClient) -> None:
    lines = [x for x in chat(client, model="tiny", stream=True).text.splitlines() if x]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert len(chunks) == 5
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_completions_answers(client: TestClient) -> None:
    answer = client.post("/v1/completions", json={"model": "tiny", "prompt": "a", "max_tokens": 2})
    assert answer.json()["choices"][0]["text"] == "word word"


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"model": "other"}, 404, "The model `other` does not exist."),
        ({"model": "tiny", "max_tokens": 99}, 400, "maximum context length is 100 tokens"),
    ],
)
def test_chat_refuses_as_vllm_does(
    client: TestClient, more: dict[str, Any], code: int, words: str
) -> None:
    answer = chat(client, **more)
    assert answer.status_code == answer.json()["error"]["code"] == code
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(("rank", "code"), [("0", 200), ("1", 400), ("-1", 400), ("x", 200)])
def test_completions_refuse_a_rank_that_there_is_not(
    client: TestClient, rank: str, code: int
) -> None:
    """As vLLM 0.32 does; what is no number names no rank."""
    body = {"prompt": "1", "max_tokens": 1}
    response = client.post("/v1/completions", json=body, headers={"X-data-parallel-rank": rank})
    assert response.status_code == code
    if code == 400:
        said = f"data_parallel_rank {rank} is out of range [0, 1)."
        assert response.json()["error"]["message"] == said


def test_chat_no_json_is_400(client: TestClient) -> None:
    assert client.post("/v1/chat/completions", content=b"{").status_code == 400


def test_chat_draining_is_500(api: DemoApi, client: TestClient) -> None:
    api.draining = True
    assert chat(client, model="tiny").status_code == 500
    assert client.get("/health").status_code == 200


def test_dead_engine_is_500_and_unhealthy(api: DemoApi, client: TestClient) -> None:
    api._engine.died.set()
    assert "EngineCore encountered an issue" in chat(client, model="tiny").text
    assert client.get("/health").status_code == 503


def test_adapters_are_listed_beside_the_base_model(client: TestClient) -> None:
    models = {m["id"]: m["parent"] for m in client.get("/v1/models").json()["data"]}
    assert models == {"tiny": None, "domain": "tiny"}


@pytest.mark.parametrize(
    "path", ["/health", "/ping", "/version", "/metrics", "/v1/models", "/load"]
)
def test_vllms_endpoints_are_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200
