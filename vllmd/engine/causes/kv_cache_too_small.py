"""What is left beside the weights does not hold one request."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="kv_cache_too_small",
    kind=Kind.CONFIGURATION,
    explanation=(
        "The memory left beside the model is too small for even one request of full length (for "
        "its KV cache)."
    ),
    advice=(
        "Lower max_model_len (the evidence may name a length that fits) or raise "
        "gpu_memory_utilization."
    ),
    signatures=(
        r"To serve at least one request",
        r"No available memory for the cache blocks",
    ),
)
