"""Do the engines that share a GPU fit on it together?"""

from collections.abc import Iterator, Mapping

from vllmd.config.gpus import visible_gpus
from vllmd.config.model import EngineConfig

DEFAULT_SHARE = 0.92
"""What an engine takes that is told nothing. Source: vllm/config/cache.py of 0.32."""
LEAST_DEFAULT_SHARE = 0.9
"""The same of any version: who promises room takes the larger, who keeps an engine from starting
for want of room takes this. Source: vllm/config/cache.py of earlier versions."""
FIRST = frozenset({"0"})
"""The GPU of engines that do not say which: all of them begin with the first."""


def share_of(engine: EngineConfig) -> float:
    """Return which share of a GPU an engine takes, 0 to 1."""
    return engine.gpu_memory_utilization or DEFAULT_SHARE


def overcommitted(engines: Mapping[str, EngineConfig]) -> Iterator[tuple[list[str], float]]:
    """Yield the engines that share a GPU and take more than all of its memory, and their sum.

    Engines that say nothing of their share count with vLLM's own, if another one does say.
    """
    seen: set[tuple[str, ...]] = set()
    for gpu in sorted({gpu for engine in engines.values() for gpu in _gpus(engine)}):
        sharing = {
            name: engine
            for name, engine in engines.items()
            if not engine.is_stand_in and gpu in _gpus(engine)
        }
        sharing = _at_once(sharing)
        told = [e.gpu_memory_utilization for e in sharing.values() if e.gpu_memory_utilization]
        total = round(sum(told) + DEFAULT_SHARE * (len(sharing) - len(told)), 6)
        names = tuple(sharing)
        if len(names) > 1 and told and total > 1 and names not in seen:
            seen.add(names)
            yield list(names), total


def _at_once(engines: Mapping[str, EngineConfig]) -> dict[str, EngineConfig]:
    """Return those that hold memory at one time: of some that take turns, the largest."""
    largest: dict[str, str] = {}
    for name, engine in engines.items():
        if share := engine.sleep.share if engine.sleep else None:
            other = largest.setdefault(share, name)
            largest[share] = max(other, name, key=lambda each: share_of(engines[each]))
    return {
        name: engine
        for name, engine in engines.items()
        if not (engine.sleep and engine.sleep.share) or name in largest.values()
    }


def _gpus(engine: EngineConfig) -> frozenset[str]:
    chosen = visible_gpus(engine.env)
    return FIRST if chosen is None else frozenset(chosen)
