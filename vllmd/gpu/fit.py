"""Would an engine start again? vLLM's own rule, with what is known while it still serves. Pure.

At its start a worker asks CUDA for the memory that is free and for all there is, and refuses to
start if less is free than `gpu_memory_utilization` of all. CUDA's "all" is NVML's total without the
reserved part, and its "free" is NVML's, after the worker's own context was made.

Source: vllm/v1/worker/utils.py, request_memory, 0.25 to 0.32; the equalities seen on an H100 and,
in the message "Free memory on device cuda:0 (69.63/139.8 GiB)", on an H200.
"""

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from vllmd.util.units import GIB, MIB

if TYPE_CHECKING:
    from vllmd.gpu.memory_shares import Holder

CONTEXT_BYTES = 700 * MIB
"""What a process that uses CUDA takes before it allocates: 612 MiB with PyTorch on an H100 (seen),
and somewhat more for vLLM's kernels."""


def needed_bytes(total: float, reserved: float, share: float) -> int:
    """Return what vLLM wants to find free on a GPU of which an engine takes that share."""
    return math.ceil((total - reserved) * share)


ASLEEP_BYTES = 3 * GIB
"""What an engine that sleeps may hold on a GPU: its context, graphs, and buffers of NCCL."""
UNSURE_BYTES = 300 * MIB
"""A context may be so much smaller than `CONTEXT_BYTES` on other GPUs (523 to 621 MiB seen)."""


def margin_bytes(*, total: float, reserved: float, free: float, own: float, share: float) -> float:
    """Return how much more would be free than a new start needs; below 0 it would fail.

    `own` is what the engine itself holds now, and would give back.
    """
    return free + own - CONTEXT_BYTES - needed_bytes(total, reserved, share)


def turns_bytes(held: Sequence["Holder"], engines: Collection[str]) -> int:
    """Return what engines would give back of what they hold, if they were put to sleep."""
    sizes = (sum(h.bytes or 0 for h in held if h.is_of(name)) for name in engines)
    return sum(max(0, size - ASLEEP_BYTES) for size in sizes)


KEPT_PEER_BYTES = 900 * MIB
"""What a process that keeps weights takes besides where it speaks to those of other GPUs.

Seen on H200s with vLLM 0.32 and 14.4 GiB of weights: 15.0 GiB on one GPU, 17.4 on two."""


def kept_bytes(gpus: int) -> int:
    """Return what a process that keeps weights takes on a GPU beside them; of `gpus` in all."""
    return CONTEXT_BYTES + (KEPT_PEER_BYTES if gpus > 1 else 0)


def weights_bytes(held: Sequence[int], *, gpus: int) -> int:
    """Return what weights that are kept change of what a start needs on a GPU, in bytes.

    `held` is what each process that keeps some has on the GPU, `gpus` over how many they are
    divided. vLLM takes off its share what is allocated there; the rest of each such process is
    beside it, also of the first one, that is still to be started. Source: vllm/v1/worker/utils.py,
    `request_memory` in 0.32, and `get_memory` in weight_cache/daemon.py.
    """
    return sum(held) - kept_bytes(gpus) * max(1, len(held))
