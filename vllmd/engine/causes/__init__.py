"""Why an engine ended: one file a cause, and the order in which they are looked for.

To add a cause is to add its file, its line here, and a log that shows it in tests/data/causes.
"""

from vllmd.engine.causes import (
    compile_cache,
    context_too_long,
    cuda_error,
    cuda_out_of_memory,
    disk_full,
    driver_mismatch,
    engine_core_died,
    gpu_fault,
    host_out_of_memory,
    killed,
    kv_cache_too_small,
    load_stalled,
    lora_rank,
    missing_kernels,
    model_gated,
    model_not_found,
    nccl_failure,
    not_started,
    opentelemetry_missing,
    port_in_use,
    program_missing,
    shim_lost,
    stalled,
    unknown_flag,
    vram_held,
    worker_died,
    worker_timeout,
)
from vllmd.engine.causes.base import Cause, Diagnosis, Facts, Kind
from vllmd.engine.causes.first_error import first_error

CAUSES: tuple[Cause, ...] = (
    stalled.CAUSE,
    load_stalled.CAUSE,
    vram_held.CAUSE,
    kv_cache_too_small.CAUSE,
    context_too_long.CAUSE,
    lora_rank.CAUSE,
    unknown_flag.CAUSE,
    opentelemetry_missing.CAUSE,
    model_gated.CAUSE,
    model_not_found.CAUSE,
    disk_full.CAUSE,
    port_in_use.CAUSE,
    gpu_fault.CAUSE,
    driver_mismatch.CAUSE,
    missing_kernels.CAUSE,
    cuda_out_of_memory.CAUSE,
    nccl_failure.CAUSE,
    compile_cache.CAUSE,
    host_out_of_memory.CAUSE,
    cuda_error.CAUSE,
    worker_timeout.CAUSE,
    worker_died.CAUSE,
    engine_core_died.CAUSE,
    killed.CAUSE,
    shim_lost.CAUSE,
    program_missing.CAUSE,
    not_started.CAUSE,
)
"""From the most to the least specific: the first that fits is the cause."""


def diagnose(facts: Facts) -> Diagnosis:
    """Say why a run ended that nobody asked to end.

    Returns: the cause; `unknown`, with the first error that was printed, if none fits.
    """
    for cause in CAUSES:
        if found := cause.find(facts):
            return found
    error = first_error(facts.lines)
    return Diagnosis(
        cause="unknown",
        kind=Kind.UNKNOWN,
        explanation="The cause is not one that vllmd knows.",
        advice="Read the engine's log: 'vllmd logs' shows its end.",
        evidence=(error,) if error else (),
    )
