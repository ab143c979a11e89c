import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from vllmd.demo.args import parse_args
from vllmd.demo.metrics import Metrics
from vllmd.demo.sleep import DEV_MODE, FAILS, DevRoutes


class Engine:
    def __init__(self) -> None:
        self.computes = asyncio.Event()
        self.computes.set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.told: list[bool] = []
        self.aborted = 0

    async def wait_idle(self) -> None:
        await self.idle.wait()

    def rest(self, *, asleep: bool) -> None:
        self.told.append(asleep)

    def abort_all(self) -> None:
        self.aborted += 1


class Asked:
    def __init__(self) -> None:
        self.engine = Engine()
        self.metrics = Metrics(parse_args(["serve", "m"]))
        app = Starlette(routes=DevRoutes(self.engine, self.metrics).routes())  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://e")

    async def post(self, path: str, **more: Any) -> tuple[int, Any]:
        answer = await self.client.post(path, **more)
        return answer.status_code, answer.json()

    async def asleep(self) -> bool:
        return bool((await self.client.get("/is_sleeping")).json()["is_sleeping"])

    def shown(self) -> dict[str, float]:
        page = self.metrics.page().decode()
        found = [line for line in page.splitlines() if line.startswith("vllm:engine_sleep_state{")]
        values = (line.split('sleep_state="')[1] for line in found)
        return {each.split('"')[0]: float(each.split()[-1]) for each in values}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv(DEV_MODE, "1")
    return Asked()


async def test_without_the_variable_there_are_no_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEV_MODE, raising=False)
    assert (await Asked().client.get("/is_sleeping")).status_code == 404


async def test_it_sleeps_and_wakes_as_its_page_shows(asked: Asked) -> None:
    assert await asked.post("/sleep?level=1&mode=wait") == (200, {"status": "sleeping", "level": 1})
    assert await asked.asleep()
    assert asked.shown() == {"awake": 0, "weights_offloaded": 1, "discard_all": 0}
    assert await asked.post("/wake_up") == (200, {"status": "awake", "tags": None})
    assert not await asked.asleep()
    assert asked.shown() == {"awake": 1, "weights_offloaded": 0, "discard_all": 0}
    assert asked.engine.computes.is_set()
    assert asked.engine.told == [True, False]


async def test_it_computes_only_once_it_has_all_of_its_memory(asked: Asked) -> None:
    await asked.post("/sleep?level=2")
    assert asked.engine.aborted == 1, "abort is vLLM's own default"
    woken = await asked.post("/wake_up?tags=weights")
    assert woken == (200, {"status": "sleeping", "tags": ["weights"]})
    assert await asked.asleep()
    assert await asked.post("/collective_rpc", json={"method": "reload_weights"}) == (
        200,
        {"results": [None]},
    )
    assert not asked.engine.computes.is_set()
    woken = await asked.post("/wake_up?tags=kv_cache")
    assert woken == (200, {"status": "awake", "tags": ["kv_cache"]})
    assert asked.engine.computes.is_set()


async def test_level_0_only_pauses(asked: Asked) -> None:
    await asked.post("/sleep?level=0")
    assert await asked.asleep()
    assert asked.engine.told == []
    assert asked.shown() == {"awake": 0, "weights_offloaded": 0, "discard_all": 0}


@pytest.mark.parametrize("query", ["level=3", "level=x", "mode=now"])
async def test_what_vllm_refuses_is_refused(asked: Asked, query: str) -> None:
    assert (await asked.post(f"/sleep?{query}"))[0] == 400
    assert not await asked.asleep()


async def test_sleep_waits_for_requests_and_is_sleeping_for_the_sleep(asked: Asked) -> None:
    asked.engine.idle.clear()
    sleeping = asyncio.create_task(asked.post("/sleep?level=1&mode=wait"))
    await asyncio.sleep(0.01)
    asking = asyncio.create_task(asked.asleep())
    await asyncio.sleep(0.01)
    assert not sleeping.done()
    assert not asking.done()
    asked.engine.idle.set()
    assert (await sleeping)[0] == 200
    assert await asking


async def test_path_that_is_to_fail_fails(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAILS, "/wake_up")
    await asked.post("/sleep?level=1")
    assert (await asked.post("/wake_up"))[0] == 500
    assert await asked.asleep()
