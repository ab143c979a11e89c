"""The host, or a limit of a control group, has too little memory."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import GIB, format_bytes

ID = "host-memory"
PROCESS = int(1.75 * GIB)
"""What Python, PyTorch and vLLM take. Source: 1.9 GiB (PSS), vLLM 0.32 for the CPU with a tiny
model and a KV cache that nothing had used yet."""


def check(case: Case) -> Iterator[Finding]:
    """Find what the kernel would end by killing: on the CPU the model is in this memory too."""
    memory = case.host.memory_bytes
    if memory is None or case.engine.is_stand_in:
        return
    needed = PROCESS
    parts = f"{format_bytes(PROCESS)} for the program"
    if case.on_cpu:
        weights, cache = case.demand.weights_bytes, case.cpu_cache_bytes
        needed += weights + cache
        parts += f", {format_bytes(weights)} of weights, {format_bytes(cache)} of KV cache"
    if memory >= needed:
        return
    whose = "a control group allows" if case.host.memory_limited else "the host has"
    yield Finding(
        ID,
        Severity.ERROR,
        f"{whose} {format_bytes(memory)}, and the engine takes {format_bytes(needed)} ({parts})",
        "The kernel kills the engine while it loads.",
        "Raise MemoryMax of the unit (or the container's limit), or take a smaller model"
        + (", or set env.VLLM_CPU_KVCACHE_SPACE lower." if case.on_cpu else "."),
    )
