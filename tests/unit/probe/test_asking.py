import json

import httpx
import pytest

from tests.unit.probe.made import FakeVllm, answers
from vllmd.probe.answer import BrokenAnswerError
from vllmd.probe.asking import Asker, NotApplicableError, NotAskedError, read
from vllmd.probe.prompts import PROMPTS


def asker(vllm: FakeVllm, key: str | None = None) -> Asker:
    return Asker(vllm.client(), "http://127.0.0.1:1", "chat", key)


@pytest.mark.parametrize("together", [False, True])
async def test_all_prompts_are_asked_of_the_base_model(together: bool) -> None:
    vllm = FakeVllm()
    assert await asker(vllm, "secret").ask(together=together) == answers()
    asked = [json.loads(each.content) for each in vllm.asked]
    assert [each["prompt"] for each in asked] == list(PROMPTS)
    assert {each["model"] for each in asked} == {"chat"}
    assert len({each["cache_salt"] for each in asked}) == len(PROMPTS)
    assert vllm.asked[0].headers["authorization"] == "Bearer secret"
    assert "secret" not in repr(asker(vllm, "secret"))


async def test_no_span_of_a_probe_is_recorded() -> None:
    vllm = FakeVllm()
    await asker(vllm).ask()
    assert all(each.headers["traceparent"].endswith("-00") for each in vllm.asked)


async def test_version_is_asked() -> None:
    vllm = FakeVllm()
    assert await asker(vllm).version() == "0.32.0"


async def test_engine_that_is_away_was_not_asked() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
    away = Asker(client, "http://127.0.0.1:1", "chat")
    with pytest.raises(NotAskedError, match="refused"):
        await away.ask()
    assert await away.version() is None


@pytest.mark.parametrize(
    ("status", "text", "raised"),
    [
        (400, "Requested logprobs of 5, max is 0", NotApplicableError),
        (404, "The model does not support Completions API", NotApplicableError),
        (401, "Unauthorized", NotApplicableError),
        (429, "too many requests wait", NotAskedError),
        (503, "too many requests wait", NotAskedError),
        (500, "EngineCore encountered an issue", NotAskedError),
        (500, "Out of range float values are not JSON compliant: nan", BrokenAnswerError),
        (
            400,
            '{"error":{"message":"Out of range float values are not JSON compliant","type":'
            '"BadRequestError"}}',
            BrokenAnswerError,
        ),
        (200, "no JSON", NotAskedError),
        (200, "[" * 5000, NotAskedError),
        (200, '{"choices": []}', NotApplicableError),
    ],
)
async def test_each_refusal_is_taken_for_what_it_is(
    status: int, text: str, raised: type[Exception]
) -> None:
    with pytest.raises(raised):
        read(httpx.Response(status, text=text))
    vllm = FakeVllm()
    vllm.status, vllm.text = status, text
    for together in (False, True):
        with pytest.raises(raised):
            await asker(vllm).ask(together=together)


async def test_key_that_was_changed_is_not_taken_for_an_engine_that_cannot_be_asked() -> None:
    vllm = FakeVllm()
    vllm.status, vllm.text = 401, "Unauthorized"
    with pytest.raises(NotApplicableError, match="it takes another API key than is configured"):
        await asker(vllm).ask()
