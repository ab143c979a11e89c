"""Where a loading engine stands, read from what it prints, or from its spans. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

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
            "torch.compile took",
            "Cache the graph",
            "Directly load AOT compilation",
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
    ("graphs", ("Capturing CUDA graph",)),
    ("warm_up", ("Warming up model", "init engine (profile, create kv cache")),
    ("listening", ("Starting vLLM server", milestones.READY)),
)
"""Phases in their order, each with what announces it. `profile` runs the loaded model once, to see
how much memory is left for the KV cache; with CUDA graphs, `compile` is a part of it.

Source: engine logs of vLLM 0.25 and 0.32. Wording changes between releases: a phase that is not
recognised is passed over, and the next one that is recognised counts.
"""

_TOOK = (
    ("compile", None, re.compile(r"Dynamo bytecode transform time: ([\d.]+) s")),
    ("compile", None, re.compile(r"Compiling a graph .* takes ([\d.]+) s")),
    ("compile", None, re.compile(r"torch\.compile (?:takes|took) ([\d.]+) s")),
    ("graphs", "warm_up", re.compile(r"Graph capturing finished in ([\d.]+) sec")),
)
"""Lines that end something: what phase it is of, what follows at once, and for how long it was."""
_AFTER_KV_CACHE = "Maximum concurrency"
"""The last that is said of the KV cache. Source: vllm/v1/core/kv_cache_utils.py."""
_EAGER = ("'enforce_eager': True", "enforce_eager=True", "Cudagraph is disabled")
"""Without CUDA graphs what follows the KV cache is the warm-up of kernels, which says nothing."""
_FAILED = (
    "EngineCore failed to start",
    "Engine core initialization failed",
    "WorkerProc failed to start",
    "WorkerProc initialization failed",
)
"""Source: vllm/v1/engine/core.py and utils.py, vllm/v1/executor/multiproc_executor.py."""

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


class ReachedPhase(NamedTuple):
    """A phase that a start has reached, and how long before its line was printed, in seconds."""

    phase: str
    ago_s: float = 0.0


class LoadOutput:
    """What the output of one start says, read line by line from its beginning."""

    def __init__(self) -> None:
        """Begin with a start."""
        self._eager = False
        self.failed = False
        """It has said that the start fails: what comes now is its end, and no phase of it."""

    def read(self, line: str) -> Iterator[ReachedPhase]:
        """Yield the phases that a line, or the begin of one, says were reached."""
        self._eager = self._eager or any(mark in line for mark in _EAGER)
        self.failed = self.failed or any(mark in line for mark in _FAILED)
        if self.failed:
            return
        for phase, following, pattern in _TOOK:
            if match := pattern.search(line):
                yield ReachedPhase(phase, float(match[1]))
                if following is not None:
                    yield ReachedPhase(following)
                return
        phase_now = parse_phase(line)
        if phase_now is not None:
            yield ReachedPhase(phase_now)
        if self._eager and _AFTER_KV_CACHE in line:
            yield ReachedPhase("warm_up")


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
