"""What vLLM says of the memory it takes on each GPU, read from its output. Pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from vllmd.util.units import GIB

WEIGHTS, KV_CACHE, GRAPHS, KV_TOKENS = "weights", "kv_cache", "graphs", "kv_cache_tokens"
BYTES = (WEIGHTS, KV_CACHE, GRAPHS)
"""Those that are bytes on one GPU; `KV_TOKENS` is of the whole engine."""

NOTHING: Mapping[str, int] = MappingProxyType({})

_PATTERNS = (
    (WEIGHTS, re.compile(r"Model loading took ([\d.]+) GiB")),
    (KV_CACHE, re.compile(r"Available KV cache memory: ([\d.]+) GiB")),
    (KV_CACHE, re.compile(r"Explicitly set \(([\d.]+)/[\d.]+\) GiB for KV cache")),
    (GRAPHS, re.compile(r"Graph capturing finished in .* took ([\d.]+) GiB")),
    (KV_TOKENS, re.compile(r"KV cache size: ([\d,]+) tokens")),
)
"""Source: logs of vLLM 0.25 on an H200 and 0.32 on CPU; the graphs' line, vllm/v1/worker."""


def parse_size(line: str) -> tuple[str, int] | None:
    """Return what a line says the size of, and that in bytes or tokens; None if it says nothing."""
    if " GiB" not in line and " tokens" not in line:
        return None
    for name, pattern in _PATTERNS:
        if match := pattern.search(line):
            number = float(match[1].replace(",", ""))
            return name, round(number if name == KV_TOKENS else number * GIB)
    return None
