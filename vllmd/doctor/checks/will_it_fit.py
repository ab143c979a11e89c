"""Weights, the largest batch and one request do not fit into the share of the GPU."""

from collections.abc import Iterator

from vllmd.doctor.capacity import longest
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import format_bytes

ID = "will-it-fit"
MOST = 0.95
"""More than this share leaves nothing to the driver and to graphs."""


def check(case: Case) -> Iterator[Finding]:
    """Find an engine that would end its load with an error about memory."""
    capacity, model, gpu = case.capacity, case.model.architecture, case.gpu
    if capacity is None or model is None or gpu is None:
        return
    weights, budget = format_bytes(capacity.weights_bytes), format_bytes(capacity.budget_bytes)
    if not capacity.fits:
        yield Finding(
            ID,
            Severity.ERROR,
            f"weights of {weights} do not fit: {case.share:g} of the GPU is {budget}, and "
            f"{format_bytes(capacity.working_bytes)} of it is for context and largest batch",
            "vLLM loads the weights, finds no room for a KV cache, and ends.",
            _more_room(case, capacity.weights_bytes + capacity.working_bytes, gpu.cuda),
        )
        return
    context = case.context
    if context is None:
        return
    needed = model.kv_bytes(context, element_bytes=case.demand.element_bytes, gpus=case.gpu_count)
    if needed <= capacity.kv_bytes:
        return
    most = longest(capacity.kv_bytes, case.demand, model, context)
    yield Finding(
        ID,
        Severity.ERROR,
        f"one request of {context:,} tokens takes {format_bytes(needed)} of KV cache, and "
        f"{format_bytes(capacity.kv_bytes)} are left ({weights} of weights in {budget})",
        "vLLM ends after its load: it serves no context that a single request cannot have.",
        f"Set max_model_len = {most} or less; or "
        + _more_room(case, capacity.weights_bytes + capacity.working_bytes + needed, gpu.cuda),
    )


def _more_room(case: Case, needed: int, cuda: int) -> str:
    share = needed / cuda + 0.005
    if case.share < share <= MOST:
        return f"set gpu_memory_utilization = {share:.2f}."
    return (
        "take a quantized model, an FP8 KV cache (flags.kv-cache-dtype), or more GPUs "
        f"(flags.tensor-parallel-size; now {case.gpu_count})."
    )
