"""Less of the GPU is free than the engine asks for."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.gpu.fit import margin_bytes
from vllmd.util.units import format_bytes

ID = "gpu-share"


def check(case: Case) -> Iterator[Finding]:
    """Find what vLLM refuses at its start: "Free memory … is less than desired"."""
    gpu = case.gpu
    if gpu is None or case.engine.name in case.host.running or case.engine.is_stand_in:
        return
    margin = margin_bytes(
        total=gpu.total, reserved=gpu.reserved, free=gpu.free, own=0, share=case.share
    )
    if margin >= 0:
        return
    possible = max(0.0, case.share + margin / gpu.cuda)
    yield Finding(
        ID,
        Severity.ERROR,
        f"{format_bytes(gpu.free)} of the GPU are free, and gpu_memory_utilization {case.share:g} "
        f"asks for {format_bytes(gpu.cuda * case.share)}",
        "vLLM refuses to start. Somebody else holds the rest.",
        f"'vllmd gpu' names who; or set gpu_memory_utilization = {int(possible * 100) / 100:g}.",
    )
