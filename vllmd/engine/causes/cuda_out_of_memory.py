"""The GPU's memory ran out."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="cuda_out_of_memory",
    kind=Kind.TRANSIENT,
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
)
