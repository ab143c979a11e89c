import asyncio
from collections.abc import Callable

import httpx

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.fleet.exports.services import services
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.fleet.router import RouterFollower

A, B = "http://a:8000", "http://b:8000"


class Fleet:
    """Two hosts and a router, and what was asked of it."""

    def __init__(self) -> None:
        self.ready: dict[str, int | None] = {"a": 200, "b": 200}
        self.workers = [f"{A}/", B]
        self.asked: list[str] = []
        self.lines: list[str] = []
        self.answer: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.adds = asyncio.Event()
        self.adds.set()

    def line(self, text: str) -> None:
        self.lines.append(text)

    def now(self, text: str) -> None:
        pass

    def host(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/ready/chat"
        code = self.ready[request.url.host]
        if code is None:
            raise httpx.ConnectError("away")
        return httpx.Response(code)

    async def router(self, request: httpx.Request) -> httpx.Response:
        if (given := self.answer(request)) is not None:
            return given
        if request.url.path == "/list_workers":
            return httpx.Response(200, json={"urls": self.workers})
        worker = request.url.params["url"]
        self.asked.append(f"{request.url.path[1:].partition('_')[0]} {worker}")
        if "add" in request.url.path:
            await self.adds.wait()
            self.workers.append(worker)
        else:
            self.workers = [each for each in self.workers if each.rstrip("/") != worker]
        return httpx.Response(200)

    def follower(self) -> RouterFollower:
        hosts = (FleetHost("a"), FleetHost("b"))
        (service,) = services(config('[engines.chat]\nmodel = "m"\n'), hosts)
        pages = HostPages(PageAccess(), transport=httpx.MockTransport(self.host))
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.router))
        return RouterFollower("http://r", service.replicas, pages, client, FakeClock(), self)


async def test_what_is_red_goes_out_and_what_is_green_again_comes_in() -> None:
    fleet = Fleet()
    follower = fleet.follower()
    await follower.step()
    assert fleet.asked == []
    fleet.ready["b"] = 503
    await follower.step()
    await follower.step()
    assert fleet.asked == [f"remove {B}"]
    fleet.ready["b"] = 200
    await follower.step()
    await settle()
    await follower.step()
    assert fleet.asked == [f"remove {B}", f"add {B}"]
    assert fleet.lines == [f"{B}: out, its /ready is red", f"{B}: in"]


async def test_one_that_is_put_in_holds_up_nobody_and_is_asked_for_once() -> None:
    fleet = Fleet()
    fleet.workers, fleet.adds = [], asyncio.Event()
    follower = fleet.follower()
    for _ in range(3):
        await follower.step()
        await settle()
    assert sorted(fleet.asked) == [f"add {A}", f"add {B}"]
    fleet.ready["a"] = 503
    await follower.step()
    assert fleet.asked[-1] == f"remove {A}"
    fleet.adds.set()


async def test_a_host_that_does_not_answer_changes_nothing() -> None:
    fleet = Fleet()
    fleet.ready["a"] = None
    fleet.ready["b"] = 401
    await fleet.follower().step()
    assert fleet.asked == []


async def test_a_router_that_is_away_is_told_once_and_when_it_is_back() -> None:
    fleet = Fleet()
    follower = fleet.follower()
    for wrong in (httpx.Response(500), httpx.Response(200, text="hello")):
        fleet.answer = lambda _, wrong=wrong: wrong  # type: ignore[misc]
        await follower.step()
        await follower.step()
    fleet.answer = lambda _: None
    await follower.step()
    await follower.step()
    assert [line.partition(":")[0] for line in fleet.lines] == ["http"] * 3
    assert "not as a vllm-router does" in fleet.lines[1]
    assert fleet.lines[2] == "http://r: answers again"


async def test_a_worker_that_the_router_keeps_is_told_once_and_the_next_one_goes_out() -> None:
    fleet = Fleet()
    fleet.ready = {"a": 503, "b": 503}

    def refuse(request: httpx.Request) -> httpx.Response | None:
        refused = "remove" in request.url.path and request.url.params["url"] == A
        return httpx.Response(404, text="no such worker") if refused else None

    fleet.answer = refuse
    follower = fleet.follower()
    for _ in range(2):
        await follower.step()
    assert fleet.asked == [f"remove {B}"]
    assert fleet.lines == [
        f"{A}: not taken out: remove_worker was answered 404: no such worker",
        f"{B}: out, its /ready is red",
    ]


async def test_a_host_that_wants_another_password_is_told_once() -> None:
    fleet = Fleet()
    fleet.ready["b"] = 401
    follower = fleet.follower()
    for _ in range(2):
        await follower.step()
    fleet.ready["b"] = None
    await follower.step()
    assert fleet.lines == ["b: wants another user or password: fleet.user, fleet.password_file"]


async def test_what_the_router_refuses_is_told() -> None:
    fleet = Fleet()
    fleet.workers = [B]

    def refuse(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(503, text="no") if "add" in request.url.path else None

    fleet.answer = refuse
    await fleet.follower().step()
    await settle()
    assert fleet.lines == [f"{A}: not put in: add_worker was answered 503: no"]


async def test_it_looks_each_second_until_it_is_ended() -> None:
    fleet = Fleet()
    follower = fleet.follower()
    clock = follower.clock
    assert isinstance(clock, FakeClock)
    task = asyncio.ensure_future(follower.run())
    await clock.advance(1)
    fleet.ready["a"] = 503
    await clock.advance(1)
    assert fleet.asked == [f"remove {A}"]
    task.cancel()
