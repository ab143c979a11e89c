"""Will it fit, and how much room is left? vLLM's own sum, before vLLM. Pure.

At its start a worker takes `gpu_memory_utilization` of all that CUDA sees, loads the weights, runs
the largest batch once to see what that takes, and gives the rest to the KV cache.

Held against what vLLM printed on an H200 (0.25): 15.27 GiB of weights, 53.56 GiB of KV cache and
390,032 tokens at 0.5 of 139.8 GiB; 0.44 GiB and at most 3,200 tokens at 0.12.
"""

import attrs

from vllmd.doctor.architecture import Architecture
from vllmd.util.units import GIB, MIB

CONTEXT_BYTES = 600 * MIB
"""What a process takes before it allocates. Source: 612 MiB with PyTorch on an H100."""
PEER_BYTES = 256 * MIB
"""What it takes for talking to other GPUs. Source: two H200 with tensor parallel 2."""
BLOCK_TOKENS = 16
LARGE_GPU_BYTES = 70 * GIB
"""From so much on vLLM chooses larger batches. Source: vllm/engine/arg_utils.py."""


@attrs.frozen
class Demand:
    """What an engine asks of each of its GPUs."""

    share: float
    weights_bytes: int
    """Of all GPUs together."""
    gpus: int
    """Over which weights and heads are divided (tensor parallel, and pipeline)."""
    element_bytes: int
    """Of a number in the KV cache."""
    batched_tokens: int | None = None
    sequences: int | None = None


@attrs.frozen
class Capacity:
    """What comes of it, for each GPU."""

    budget_bytes: int
    weights_bytes: int
    working_bytes: int
    """The context, and what the largest batch takes."""
    kv_bytes: int
    """What is left for the KV cache; below 0 the weights do not fit."""

    @property
    def fits(self) -> bool:
        """Whether there is room for any token at all."""
        return self.kv_bytes > 0


def predict(cuda_bytes: int, demand: Demand, model: Architecture) -> Capacity:
    """Return what is left for the KV cache; `cuda_bytes` is NVML's total less the reserved part."""
    budget = int(cuda_bytes * demand.share)
    weights = demand.weights_bytes // demand.gpus
    working = CONTEXT_BYTES + _batch_bytes(cuda_bytes, demand, model)
    return Capacity(budget, weights, working, budget - weights - working)


def _batch_bytes(cuda_bytes: int, demand: Demand, model: Architecture) -> int:
    """The largest batch: an MLP's halves, its input and output; or the logits of each end.

    The two are not held together: logits are made when the last layer has ended.
    """
    large = cuda_bytes >= LARGE_GPU_BYTES
    tokens = demand.batched_tokens or (8192 if large else 2048)
    sequences = demand.sequences or (1024 if large else 256)
    layer = 2 * (2 * model.intermediate // demand.gpus + 2 * model.hidden)
    peers = PEER_BYTES if demand.gpus > 1 else 0
    return peers + max(tokens * layer, min(sequences, tokens) * model.vocabulary * 4)


def tokens_in(kv_bytes: int, demand: Demand, model: Architecture, length: int) -> int:
    """Return how many tokens requests of that length may hold together, in whole blocks."""
    one = model.kv_bytes(length, element_bytes=demand.element_bytes, gpus=demand.gpus)
    if one <= 0 or kv_bytes <= 0:
        return 0
    return int(kv_bytes / one * length) // BLOCK_TOKENS * BLOCK_TOKENS


def longest(kv_bytes: int, demand: Demand, model: Architecture, limit: int) -> int:
    """Return the longest single request that there is room for, at most `limit` tokens."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        needed = model.kv_bytes(middle, element_bytes=demand.element_bytes, gpus=demand.gpus)
        low, high = (middle, high) if needed <= kv_bytes else (low, middle - 1)
    return low if low == limit else low // BLOCK_TOKENS * BLOCK_TOKENS
