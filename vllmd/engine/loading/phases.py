"""Where a loading engine stands, read from what it prints, or from its spans."""

from vllmd.logs import milestones

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("init", ("Initializing a V1 LLM engine", "non-default args:")),
    ("download", ("Downloading weights", "Downloading shards", "Fetching ")),
    ("weights", ("Starting to load model", "Loading safetensors", "Loading model from scratch")),
    ("profile", ("Model loading took", "Loading weights took")),
    (
        "compile",
        (
            "Dynamo bytecode transform",
            "Compiling a graph",
            "torch.compile takes",
            "Cache the graph",
        ),
    ),
    (
        "kv_cache",
        (
            "Available KV cache memory",
            "for KV cache on node",
            "KV cache size:",
            "Maximum concurrency",
        ),
    ),
    ("graphs", ("Capturing CUDA graph", "Graph capturing finished")),
    ("warm_up", ("Warming up model", "init engine (profile, create kv cache")),
    ("listening", ("Starting vLLM server", milestones.READY)),
)
"""Phases in their order, each with what announces it. `profile` runs the loaded model once, to see
how much memory is left for the KV cache; with CUDA graphs, `compile` is a part of it.

Source: engine logs of vLLM 0.25 and 0.32. Wording changes between releases: a phase that is not
recognised is passed over, and the next one that is recognised counts.
"""

SPANS = {
    "Init device": "init",
    "Load weights": "weights",
    "Load model": "profile",
    "Allocate KV cache": "kv_cache",
    "Capture model": "graphs",
    "Prepare model": "graphs",
    "EngineCoreProc init": "warm_up",
}
"""Spans of a start, each with the phase that is reached at the latest when it has ended.

Source: `otlp/startup-*.bin` of vLLM 0.25 and 0.32; they come out of order.
"""

ORDER = {name: index for index, (name, _) in enumerate(PHASES)}

WAITING_NOTICES = ("No available shared memory broadcast block found", "Waiting for ")
"""What is printed by a process that waits for another one: no sign of progress."""


def parse_phase(line: str) -> str | None:
    """Return the phase that a line of output announces, or None."""
    for name, marks in PHASES:
        if any(mark in line for mark in marks):
            return name
    return None


def further(current: str | None, phase: str | None) -> str | None:
    """Return the further of two phases; phases never go back."""
    if phase is None or (current is not None and ORDER[phase] <= ORDER[current]):
        return current
    return phase


def is_waiting_notice(line: str) -> bool:
    """Tell whether a line only says that its process waits for another one."""
    return any(notice in line for notice in WAITING_NOTICES)
