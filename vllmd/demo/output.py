"""Lines as vLLM prints them.

Source: tests/data/engine-logs/cpu-0.32-*.log and h200-0.25-*.log.
"""

import os
import sys
import time


def say(process: str, text: str, *, level: str = "INFO", source: str = "core.py:133") -> None:
    """Print one line with vLLM's prefix."""
    stamp = time.strftime("%m-%d %H:%M:%S")
    sys.stderr.write(f"({process} pid={os.getpid()}) {level} {stamp} [{source}] {text}\n")
    sys.stderr.flush()


WEIGHTS_GIB = "VLLMD_STAND_IN_WEIGHTS_GIB"
"""How large its weights are said to be: a host with less memory has no room for them asleep."""
LOADING: tuple[tuple[str, str], ...] = (
    ("core.py:133", "Initializing a V1 LLM engine (v0.32.0) with config: model='{model}'"),
    ("cpu_model_runner.py:68", "Starting to load model {model}..."),
    ("default_loader.py:501", "Loading weights took 0.01 seconds"),
    ("gpu_model_runner.py:5041", "Model loading took {weights} GiB and 3.11 seconds"),
    ("gpu_worker.py:402", "Available KV cache memory: 40.10 GiB"),
    ("kv_cache_utils.py:2327", "GPU KV cache size: 2,097,152 tokens, Maximum concurrency 512.00x"),
    ("gpu_model_runner.py:6120", "Graph capturing finished in 5 secs, took 0.61 GiB"),
    ("core.py:402", "init engine (profile, create kv cache, warmup model) took 0.63 s"),
)
"""What the EngineCore prints while it loads, in this order."""


def loading(model: str) -> list[tuple[str, str]]:
    """Return these lines for a model, each with where vLLM prints it."""
    weights = os.environ.get(WEIGHTS_GIB, "14.95")
    return [(source, text.format(model=model, weights=weights)) for source, text in LOADING]
