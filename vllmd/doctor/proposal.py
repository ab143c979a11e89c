"""Safe numbers for a model on a host, each with its reason: what `vllmd init` writes. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.doctor.architecture import Architecture
from vllmd.doctor.capacity import (
    BLOCK_TOKENS,
    Capacity,
    Demand,
    longest,
    predict,
    tokens_in,
)
from vllmd.gpu.fit import CONTEXT_BYTES
from vllmd.gpu.host_memory import largest_share
from vllmd.util.units import GIB, format_bytes

SHARE = 0.9
MARGIN = 0.02
"""Left free beside what others hold: it moves."""
MOST_TOKENS = 32_768
AT_ONCE = 4
"""Requests of full length that are to fit at once."""
FEWEST, MOST_REQUESTS = 8, 256
CPU_TOKENS, CPU_REQUESTS = 4096, 8
ROUND = 1024
EXAMPLES = (
    (78 * GIB, "Qwen/Qwen3-32B"),
    (22 * GIB, "Qwen/Qwen3-8B"),
    (11 * GIB, "Qwen/Qwen3-4B"),
    (6 * GIB, "Qwen/Qwen3-1.7B"),
    (0, "Qwen/Qwen3-0.6B"),
)
"""Free GPU memory that is enough, and for what: 65, 16, 8, 4 and 1.5 GB of weights in bfloat16."""


@attrs.frozen
class Setting:
    """One line of the configuration."""

    table: str
    """Of the engine: an empty string, `flags` or `env`."""
    key: str
    value: Any
    reason: str


@attrs.frozen
class Subject:
    """The model and the hardware that it is to be served on."""

    weights_bytes: int
    architecture: Architecture | None
    cuda_bytes: tuple[int, ...] = ()
    """Of each GPU: what CUDA calls all of it."""
    free_bytes: tuple[int, ...] = ()
    memory_bytes: int | None = None
    """What a vLLM for the CPU may use."""
    unified: bool = False
    """Whether the GPUs share the host's memory."""


def propose(subject: Subject) -> Iterator[Setting]:
    """Yield the settings for a model; of one whose size is not known only what holds for all."""
    if not subject.cuda_bytes:
        yield from _on_cpu(subject)
        return
    share, why = _share(subject)
    yield Setting("", "gpu_memory_utilization", share, why)
    model = subject.architecture
    if model is None or not subject.weights_bytes:
        yield _caching()
        return
    gpus, demand, capacity = _spread(subject, model, share)
    if gpus > 1:
        each = format_bytes(subject.weights_bytes / gpus)
        yield Setting(
            "flags",
            "tensor-parallel-size",
            gpus,
            f"One GPU has no room for {format_bytes(subject.weights_bytes)} of weights; {gpus} "
            f"hold {each} each.",
        )
    length = _length(capacity, demand, model)
    if length:
        tokens = tokens_in(capacity.kv_bytes, demand, model, length)
        yield Setting("", "max_model_len", length, _why_length(length, tokens, model))
        at_once = min(MOST_REQUESTS, max(FEWEST, tokens // max(1, length // AT_ONCE)))
        yield Setting(
            "",
            "max_num_seqs",
            at_once,
            f"The KV cache holds {tokens:,} tokens: so many requests of a quarter of that length.",
        )
    yield _caching()


def fits(subject: Subject) -> bool:
    """Tell whether the model can be served at all, as far as that can be said."""
    model = subject.architecture
    if model is None or not subject.weights_bytes:
        return True
    if not subject.cuda_bytes:
        return subject.memory_bytes is None or subject.weights_bytes < subject.memory_bytes
    _, demand, capacity = _spread(subject, model, _share(subject)[0])
    return _length(capacity, demand, model) > 0


def _share(subject: Subject) -> tuple[float, str]:
    cards = list(zip(subject.free_bytes, subject.cuda_bytes, strict=True))
    free = min((f / c for f, c in cards), default=1.0)
    # vLLM asks for its share of all memory when its own context has been taken from what is free
    room = min(((f - max(CONTEXT_BYTES, MARGIN * c)) / c for f, c in cards), default=1.0)
    if subject.unified and room >= (most := min(map(largest_share, subject.cuda_bytes))):
        return most, "Of the host's memory, which the GPU shares; the rest is for all else on it."
    if room >= SHARE:
        return SHARE, "Of each GPU; the rest is for CUDA graphs, and for what else starts there."
    share = max(0.01, int(room * 100) / 100)
    if 1 - free < MARGIN:
        context = format_bytes(CONTEXT_BYTES)
        return share, f"Of each GPU; CUDA's context of {context} has to fit beside it."
    return share, f"Others hold {1 - free:.0%} of a GPU: no more is free ('vllmd gpu' names them)."


def example(subject: Subject) -> str:
    """Return a model on the hub that is sure to fit, for a person who has none yet.

    The sizes are those of its weights as they are on the hub, with room for the KV cache.
    """
    memory = sum(subject.free_bytes) if subject.cuda_bytes else (subject.memory_bytes or 0) // 8
    return next((name for least, name in EXAMPLES if memory >= least), EXAMPLES[-1][1])


def _spread(subject: Subject, model: Architecture, share: float) -> tuple[int, Demand, Capacity]:
    """Return the smallest number of GPUs that serves, or all of them."""
    count = 1
    while True:
        demand = Demand(share, subject.weights_bytes, count, 2)
        capacity = predict(min(subject.cuda_bytes), demand, model)
        enough = _length(capacity, demand, model) >= min(ROUND * 8, model.longest or ROUND * 8)
        following = count * 2
        if enough or following > len(subject.cuda_bytes) or model.kv_heads % following:
            return count, demand, capacity
        count = following


def _length(capacity: Capacity, demand: Demand, model: Architecture) -> int:
    """Return the longest context of which some fit at once, at most what the model was made for."""
    limit = min(MOST_TOKENS, model.longest or MOST_TOKENS)
    room = longest(max(0, capacity.kv_bytes) // AT_ONCE, demand, model, limit)
    if room < ROUND:  # better one at a time than none
        room = longest(max(0, capacity.kv_bytes), demand, model, limit)
    return room if room == limit else room // BLOCK_TOKENS * BLOCK_TOKENS


def _why_length(length: int, tokens: int, model: Architecture) -> str:
    if length == model.longest:
        return f"What the model was made for; {tokens // length:,} such requests fit at once."
    own = f"The model was made for {model.longest:,}; " if model.longest else ""
    return f"{own}at this length {tokens // length:,} requests fit at once."


def _caching() -> Setting:
    reason = "The start that prompts share is computed once; it costs nothing where none do."
    return Setting("", "enable_prefix_caching", True, reason)


def _on_cpu(subject: Subject) -> Iterator[Setting]:
    model = subject.architecture
    longest_ = min(CPU_TOKENS, (model.longest if model else None) or CPU_TOKENS)
    yield Setting("", "max_model_len", longest_, "No GPU: a longer prompt would take minutes.")
    yield Setting("", "max_num_seqs", CPU_REQUESTS, "More at once are not faster on a CPU.")
    yield _caching()
    space = 4
    if subject.memory_bytes is not None:
        space = max(1, min(space, (subject.memory_bytes - subject.weights_bytes) // (4 * GIB)))
    reason = "GiB of memory for the KV cache: at most a quarter of what the weights leave."
    yield Setting("env", "VLLM_CPU_KVCACHE_SPACE", str(space), reason)


def as_tables(settings: Iterator[Setting]) -> Mapping[str, list[Setting]]:
    """Return the settings by their table, in order."""
    tables: dict[str, list[Setting]] = {"": [], "flags": [], "env": []}
    for each in settings:
        tables[each.table].append(each)
    return tables
