"""The engine wants more GPUs than it can see."""

from collections.abc import Iterator

from vllmd.config.gpus import gpus_used, visible_gpus
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "gpu-count"


def check(case: Case) -> Iterator[Finding]:
    """Find parallel sizes that add up to more than there is."""
    gpus = case.host.gpus
    if not gpus:
        return
    chosen = visible_gpus(case.env)
    there = len(gpus) if chosen is None else len(chosen)
    wanted = gpus_used(case.engine.flags)
    if wanted > there:
        limited = "" if chosen is None else f" (CUDA_VISIBLE_DEVICES = {','.join(chosen)})"
        yield Finding(
            ID,
            Severity.ERROR,
            f"{wanted} GPUs are asked for (tensor, pipeline and data parallel), and {there} can be "
            f"seen{limited}",
            "vLLM ends before it loads, or waits for workers that never come.",
            "Lower flags.tensor-parallel-size, or let it see more.",
        )
