"""Where a loading engine stands, read from what it prints."""

from collections.abc import Iterable

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("init", ("Initializing a V1 LLM engine", "non-default args:")),
    ("weights", ("Starting to load model", "Loading safetensors", "Loading model from scratch")),
    ("weights_loaded", ("Model loading took", "Loading weights took")),
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
    ("listening", ("Application startup complete",)),
)
"""Phases in their order, each with what announces it.

Source: engine logs of vLLM 0.25 and 0.32. Wording changes between releases: a phase that is not
recognised is passed over, and the next one that is recognised counts.
"""

ORDER = {name: index for index, (name, _) in enumerate(PHASES)}


def parse_phase(line: str) -> str | None:
    """Return the phase that a line of output announces, or None."""
    for name, marks in PHASES:
        if any(mark in line for mark in marks):
            return name
    return None


def later_phase(current: str | None, lines: Iterable[str]) -> str | None:
    """Return the furthest phase that is known after `lines`; phases never go back."""
    for line in lines:
        phase = parse_phase(line)
        if phase is not None and (current is None or ORDER[phase] > ORDER[current]):
            current = phase
    return current
