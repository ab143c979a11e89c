import asyncio

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.sleeping.memory_proof import Proof, promised_bytes, prove
from vllmd.util.units import GIB

SIZES = {"weights": 10 * GIB, "kv_cache": 60 * GIB}


class Gpus(EngineGpus):
    def __init__(self, *held: int | None) -> None:
        self.held = list(held)

    async def fresh_memory_bytes(self) -> int | None:
        return self.held.pop(0) if len(self.held) > 1 else self.held[0]


async def proof_of(gpus: Gpus, before: int | None) -> Proof:
    clock = FakeClock()
    task = asyncio.create_task(prove(gpus, engine(), SIZES, before, clock))
    await clock.advance(60)
    return task.result()


async def test_memory_that_comes_back_late_is_waited_for() -> None:
    assert await proof_of(Gpus(80 * GIB, 40 * GIB, GIB), 80 * GIB) == Proof(GIB)


async def test_memory_that_does_not_come_back_is_told_with_the_figures() -> None:
    found = await proof_of(Gpus(40 * GIB), 80 * GIB)
    assert found.held_bytes == 40 * GIB
    assert found.problem is not None
    assert "holds 40.0 GiB of the 80.0 GiB" in found.problem
    assert "63.0 GiB were to come back" in found.problem


async def test_what_nobody_knows_proves_nothing() -> None:
    assert await proof_of(Gpus(None), 80 * GIB) == Proof(None)
    assert await proof_of(Gpus(GIB), None) == Proof(None)


def test_promise_is_weights_and_cache_of_each_gpu_or_half_where_the_start_was_not_seen() -> None:
    two = engine("flags = { tensor-parallel-size = 2 }")
    assert promised_bytes(two, SIZES, 200 * GIB) == round(140 * GIB * 0.9)
    assert promised_bytes(engine(), {}, 80 * GIB) == 40 * GIB
