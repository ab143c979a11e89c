import asyncio

from tests.helpers.clock import FakeClock
from vllmd.traces.models import AGAIN_S, FRESH_S, Models


class Engine:
    def __init__(self) -> None:
        self.served: frozenset[str] | None = frozenset({"tiny"})
        self.asked = 0
        self.clock = FakeClock()
        self.models = Models(self.ask, self.clock)

    async def ask(self, engine: str) -> frozenset[str] | None:
        assert engine == "chat"
        self.asked += 1
        await asyncio.sleep(0)
        return self.served


async def test_names_are_asked_for_once_and_again_when_they_are_old() -> None:
    engine = Engine()
    for _ in range(3):
        assert await engine.models.names("chat", ["tiny"]) == {"tiny"}
    assert engine.asked == 1
    engine.clock.now += FRESH_S
    await engine.models.names("chat", ["tiny"])
    assert engine.asked == 2


async def test_an_adapter_that_was_loaded_just_now_is_found() -> None:
    engine = Engine()
    await engine.models.names("chat", ["tiny"])
    engine.served = frozenset({"tiny", "sql"})
    engine.clock.now += AGAIN_S
    assert "sql" in await engine.models.names("chat", ["sql"])


async def test_names_that_clients_invent_are_asked_for_seldom() -> None:
    engine = Engine()
    for number in range(1000):
        engine.clock.now += 0.01
        await engine.models.names("chat", [f"a{number}"])
    assert engine.asked <= 3


async def test_many_who_wait_ask_once() -> None:
    engine = Engine()
    found = await asyncio.gather(*(engine.models.names("chat", ["sql"]) for _ in range(20)))
    assert engine.asked == 1
    assert found == [{"tiny"}] * 20


async def test_nobody_is_asked_where_nothing_is_claimed() -> None:
    engine = Engine()
    assert await engine.models.names("chat", []) == frozenset()
    assert engine.asked == 0


async def test_an_engine_that_does_not_say_keeps_its_names() -> None:
    engine = Engine()
    await engine.models.names("chat", ["tiny"])
    engine.served = None
    engine.clock.now += FRESH_S
    assert await engine.models.names("chat", ["tiny"]) == {"tiny"}
