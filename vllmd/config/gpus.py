"""Which GPUs an environment and a command name."""

from collections.abc import Mapping
from typing import Any

PARALLEL_FLAGS = (
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "prefill-context-parallel-size",
    "data-parallel-size",
)


def visible_gpus(env: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, in its order, by index or UUID as it does.

    Returns: None if it is not set: all of them are visible.
    """
    chosen = env.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return None
    return tuple(each.strip() for each in chosen.split(",") if each.strip())


def gpus_used(flags: Mapping[str, Any]) -> int:
    """Return how many GPUs an engine with these flags of vLLM uses on its host, at most.

    Source: vllm/config/parallel.py: tensor times pipeline times prefill context, for each
    data-parallel rank.
    """
    count = 1
    for name in PARALLEL_FLAGS:
        size = flags.get(name, 1)
        count *= size if isinstance(size, int) and size > 0 else 1
    return count
