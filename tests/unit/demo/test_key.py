import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from vllmd.demo.key import KeyRequired


async def ask(path: str, key: str | None, *keys: str) -> int:
    routes = [Route(each, lambda _: PlainTextResponse("ok")) for each in ("/v1/models", "/metrics")]
    app = Starlette(routes=routes, middleware=[Middleware(KeyRequired, keys=keys)])
    headers = {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        return (await http.get(path)).status_code


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/models", "k", 200),
        ("/v1/models", "other", 401),
        ("/v1/models", None, 401),
        ("/metrics", None, 200),
    ],
)
async def test_only_what_is_below_v1_wants_the_key(
    monkeypatch: pytest.MonkeyPatch, path: str, key: str | None, status: int
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "k")
    assert await ask(path, key) == status


async def test_without_a_key_all_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    assert await ask("/v1/models", None) == 200


async def test_keys_that_are_given_go_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "k")
    found = [await ask("/v1/models", key, "one", "two") for key in ("one", "two", "k", None)]
    assert found == [200, 200, 401, 401]
