from collections.abc import Callable

import httpx
import pytest

from vllmd.lora.api import LoraApi, LoraApiError

Handler = Callable[[httpx.Request], httpx.Response]


def api(handler: Handler, key: str | None = None) -> LoraApi:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return LoraApi(client, "http://x", key)


async def test_listed_are_the_adapters_not_the_base() -> None:
    data = [
        {"id": "tiny", "root": "m", "parent": None},
        {"id": "sql", "root": "/srv/sql", "parent": "tiny"},
    ]
    assert await api(lambda _: httpx.Response(200, json={"data": data})).listed() == {
        "sql": "/srv/sql"
    }


async def test_load_and_unload_send_what_vllm_takes_with_the_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text="Success")

    asked = api(answer, "s3cret")
    await asked.load("sql", "/srv/sql", in_place=True)
    await asked.unload("sql")
    assert [request.url.path for request in seen] == [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
    ]
    assert seen[0].content == b'{"lora_name":"sql","lora_path":"/srv/sql","load_inplace":true}'
    assert seen[0].headers["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("response", "words", "absent"),
    [
        (httpx.Response(500, json={"error": {"message": "LoRA rank 32"}}), "LoRA rank 32", False),
        (httpx.Response(404, json={"error": {"message": "cannot be found"}}), "cannot be", False),
        (httpx.Response(404, json={"detail": "Not Found"}), "HTTP 404", True),
        (httpx.Response(502, text="<html>"), "HTTP 502: <html>", False),
    ],
)
async def test_load_refused_is_said_in_vllms_words(
    response: httpx.Response, words: str, absent: bool
) -> None:
    with pytest.raises(LoraApiError, match=words) as caught:
        await api(lambda _: response).load("a", "/a", in_place=False)
    assert caught.value.absent is absent


async def test_an_engine_that_does_not_answer_is_said_to_be_so() -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    def refused(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(LoraApiError, match="no answer within 5 s"):
        await api(silent).listed()
    with pytest.raises(LoraApiError, match="connection refused"):
        await api(refused).listed()


@pytest.mark.parametrize("body", ["[]", "{}", '{"data": [1]}', "x"])
async def test_listed_that_is_something_else_is_an_error(body: str) -> None:
    with pytest.raises(LoraApiError, match="not what it should be"):
        await api(lambda _: httpx.Response(200, text=body)).listed()
