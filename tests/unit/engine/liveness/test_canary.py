import asyncio

from tests.helpers.clock import FakeClock, settle
from vllmd.engine.liveness.canary import Canary


class Nest:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sent: list[asyncio.Future[str | None]] = []
        self.canary = Canary(self._ask, self.clock, 60)

    async def _ask(self) -> str | None:
        self.sent.append(asyncio.get_running_loop().create_future())
        return await self.sent[-1]


async def test_look_sends_one_after_a_time_of_rest_only() -> None:
    nest = Nest()
    assert nest.canary.look(1, idle=True) is None
    await nest.clock.advance(59)
    assert nest.canary.look(2, idle=True) is None  # it worked meanwhile
    await nest.clock.advance(59)
    assert nest.canary.look(2, idle=True) is None
    await nest.clock.advance(1)
    assert nest.canary.look(2, idle=True) is not None
    assert nest.canary.look(2, idle=True) is not None
    await settle()
    assert len(nest.sent) == 1


async def test_look_never_sends_to_a_busy_engine() -> None:
    nest = Nest()
    for _ in range(50):
        await nest.clock.advance(30)
        assert nest.canary.look(1, idle=False) is None


async def test_look_steps_of_others_are_progress_of_a_pending_one() -> None:
    nest = Nest()
    nest.canary.look(1, idle=True)
    await nest.clock.advance(60)
    first = nest.canary.look(1, idle=True)
    again = nest.canary.look(1, idle=True)
    other = nest.canary.look(2, idle=False)
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.steps == again.steps < other.steps


async def test_look_answer_ends_it_and_close_gives_it_up() -> None:
    nest = Nest()
    nest.canary.look(1, idle=True)
    await nest.clock.advance(60)
    nest.canary.look(1, idle=True)
    await settle()
    nest.sent[0].set_result("HTTP 400")
    await settle()
    assert nest.canary.look(1, idle=True) is None
    assert nest.canary.problem == "HTTP 400"
    await nest.clock.advance(60)
    nest.canary.look(1, idle=True)
    await settle()
    nest.canary.close()
    await settle()
    assert nest.sent[1].cancelled()
