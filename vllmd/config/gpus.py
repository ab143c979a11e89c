"""Which GPUs an environment and a command name."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vllmd.config import group

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

PARALLEL_FLAGS = (*group.SPLITS, group.DP_SIZE)


def visible_gpus(env: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, in its order, by index or UUID as it does.

    Returns: None if it is not set: all of them are visible.
    """
    chosen = env.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return None
    return tuple(each.strip() for each in chosen.split(",") if each.strip())


def gpus_used(engine: "EngineConfig") -> int:
    """Return how many GPUs an engine uses on its host, at most.

    Source: vllm/config/parallel.py: tensor times pipeline times prefill context, for each
    data-parallel rank; of several hosts each has its share of them, or its own ranks.
    """
    flags = {**engine.flags, **(group.sizes(engine.group) if engine.group else {})}
    if isinstance(flags.get(group.DP_LOCAL), int):
        flags[group.DP_SIZE] = flags[group.DP_LOCAL]
    return math.ceil(group.product(flags, PARALLEL_FLAGS) / group.product(flags, ("nnodes",)))
