"""Did an engine that fell asleep give back what it holds? Asked of the GPUs, not of vLLM."""

from collections.abc import Mapping

import attrs

from vllmd.config.gpus import gpus_used
from vllmd.config.model import EngineConfig
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.loading.memory_sizes import KV_CACHE, WEIGHTS
from vllmd.util.clock import Clock
from vllmd.util.units import format_bytes

PROVEN_SHARE = 0.9
"""Of weights and KV cache, as vLLM named them: its own figures are rounded, and blocks are kept."""
UNKNOWN_SHARE = 0.5
"""Of all that it held, where vLLM's figures are not known (the start was not seen)."""
PROOF_S = 30.0
POLL_S = 1.0


@attrs.frozen
class Proof:
    """What its processes hold of GPU memory, and what is wrong with that; None where unknown."""

    held_bytes: int | None
    problem: str | None = None


async def prove(
    gpu: EngineGpus,
    engine: EngineConfig,
    sizes: Mapping[str, int],
    before: int | None,
    clock: Clock,
) -> Proof:
    """Look until the memory is back, for half a minute at most. `before` is what was held."""
    if not before:
        return Proof(None)
    promised = promised_bytes(engine, sizes, before)
    began = clock.monotonic()
    while True:
        held = await gpu.fresh_memory_bytes()
        if held is None or before - held >= promised:
            return Proof(held)
        if clock.monotonic() - began >= PROOF_S:
            return Proof(held, _short(before, held, promised))
        await clock.sleep(POLL_S)


def promised_bytes(engine: EngineConfig, sizes: Mapping[str, int], before: int) -> int:
    """Return what a sleep, at any level, gives back at least: weights and KV cache of each GPU."""
    known = sizes.get(WEIGHTS, 0) + sizes.get(KV_CACHE, 0)
    if WEIGHTS not in sizes or KV_CACHE not in sizes:
        return round(before * UNKNOWN_SHARE)
    return round(min(known * gpus_used(engine), before) * PROVEN_SHARE)


def _short(before: int, held: int, promised: int) -> str:
    return (
        f"it sleeps, and holds {format_bytes(held)} of the {format_bytes(before)} of GPU memory "
        f"that it had: {format_bytes(promised)} were to come back. 'vllmd gpu' shows who holds what"
    )
