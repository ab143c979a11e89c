import httpx
import pytest

from vllmd.engine.probes.health import answers


def client_that(answer: int | type[Exception]) -> httpx.AsyncClient:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/health"
        if isinstance(answer, int):
            return httpx.Response(answer)
        raise answer("no")

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [(200, True), (503, False), (404, False), (httpx.ConnectError, False)],
)
async def test_answers_is_true_for_200_only(answer: int | type[Exception], healthy: bool) -> None:
    assert await answers(client_that(answer), "http://engine") is healthy


async def test_answers_timeout_is_false() -> None:
    assert not await answers(client_that(httpx.ReadTimeout), "http://engine")
