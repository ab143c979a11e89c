from collections.abc import Callable

import httpx
import pytest

from vllmd.engine.probes.sleep_routes import (
    NotHeardError,
    RoutesMissingError,
    SleepRouteError,
    SleepRoutes,
)

Answer = Callable[[httpx.Request], httpx.Response]


def routes(answer: Answer, seen: list[str] | None = None) -> SleepRoutes:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            query = f"?{request.url.query.decode()}" if request.url.query else ""
            body = f" {request.content.decode()}" if request.content else ""
            seen.append(f"{request.method} {request.url.path}{query}{body}")
        return answer(request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return SleepRoutes("http://127.0.0.1:1", client)


def ok(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={})


async def test_wake_from_level_2_reads_the_weights_before_the_cache_comes_back() -> None:
    seen: list[str] = []
    await routes(ok, seen).wake(2)
    assert seen == [
        "POST /wake_up?tags=weights",
        'POST /collective_rpc {"method":"reload_weights"}',
        "POST /wake_up?tags=kv_cache",
    ]


async def test_wake_from_level_1_is_one_request_and_a_sleep_waits_for_requests() -> None:
    seen: list[str] = []
    await routes(ok, seen).wake(1)
    await routes(ok, seen).sleep(2)
    assert seen == ["POST /wake_up", "POST /sleep?level=2&mode=wait"]


async def test_failed_step_ends_a_wake_with_what_was_answered() -> None:
    seen: list[str] = []

    def fails(request: httpx.Request) -> httpx.Response:
        failed = request.url.path == "/collective_rpc"
        return httpx.Response(500, text="out of memory") if failed else ok(request)

    with pytest.raises(SleepRouteError, match="POST /collective_rpc: HTTP 500: out of memory"):
        await routes(fails, seen).wake(2)
    assert len(seen) == 2, "it goes on computing only once its weights are there"


@pytest.mark.parametrize(
    ("answer", "asleep"),
    [
        (httpx.Response(200, json={"is_sleeping": True}), True),
        (httpx.Response(200, json={"is_sleeping": False}), False),
        (httpx.Response(200, text="hello"), None),
        (httpx.Response(200, json=[]), None),
        (httpx.Response(503), None),
    ],
)
async def test_is_sleeping_is_asked_and_what_makes_no_sense_says_nothing(
    answer: httpx.Response, asleep: bool | None
) -> None:
    assert await routes(lambda _: answer).is_asleep() is asleep


async def test_engine_without_the_routes_is_told_apart() -> None:
    missing = routes(lambda _: httpx.Response(404))
    with pytest.raises(RoutesMissingError, match="no route /is_sleeping"):
        await missing.is_asleep()
    with pytest.raises(RoutesMissingError):
        await missing.sleep(1)


async def test_engine_that_does_not_answer_says_nothing() -> None:
    def refuses(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert await routes(refuses).is_asleep() is None
    with pytest.raises(SleepRouteError, match="refused"):
        await routes(refuses).sleep(1)


async def test_connection_that_fails_is_no_answer_of_the_engine() -> None:
    def cut(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 24] Too many open files")

    for doing in (routes(cut).sleep(1), routes(cut).wake(2), routes(cut).reload_weights()):
        with pytest.raises(NotHeardError, match="Too many open files"):
            await doing
    with pytest.raises(SleepRouteError) as raised:
        await routes(lambda _: httpx.Response(500)).wake(1)
    assert not isinstance(raised.value, NotHeardError)
