"""Memory that ran out, of a GPU or of the host."""

from vllmd.engine.causes.base import Cause, Kind, Rank

CAUSES = (
    Cause(
        name="vram_held",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation=(
            "Another process holds so much of the GPU's memory that the engine's share does not "
            "fit."
        ),
        advice=(
            "'vllmd gpu' names the holder: end it ('vllmd gpu reap' if it is an orphan of ours), "
            "or lower gpu_memory_utilization."
        ),
        names_holders=True,
        signatures=(r"Free memory on device .* is less than desired GPU memory utilization",),
    ),
    Cause(
        name="kv_cache_too_small",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "The memory left beside the model is too small for even one request of full length "
            "(for its KV cache)."
        ),
        advice=(
            "Lower max_model_len (the evidence may name a length that fits) or raise "
            "gpu_memory_utilization."
        ),
        signatures=(
            r"To serve at least one request",
            r"No available memory for the cache blocks",
        ),
    ),
    Cause(
        name="cuda_out_of_memory",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="The GPU's memory ran out while the engine worked.",
        advice=(
            "If it comes again, lower gpu_memory_utilization or max_num_seqs; 'vllmd gpu' shows "
            "who else uses the GPU."
        ),
        names_holders=True,
        signatures=(
            r"CUDA out of memory",
            r"torch\.OutOfMemoryError",
        ),
    ),
    Cause(
        name="host_out_of_memory",
        kind=Kind.TRANSIENT,
        rank=Rank.BROAD,
        explanation="The host's memory (not the GPU's) ran out, and the kernel killed the engine.",
        advice=(
            "Look at 'journalctl -k -g oom'; give the engine's unit more memory, lower its swap or"
            " offload settings, or load fewer engines on this host."
        ),
        marks=frozenset({"oom_kill"}),
    ),
)
