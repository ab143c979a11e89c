"""/dev/shm is too small for workers that talk through it."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import GIB, format_bytes

ID = "shared-memory"
NEEDED_BYTES = GIB


def check(case: Case) -> Iterator[Finding]:
    """Find a container's 64 MB under several GPUs."""
    size = case.host.shared_memory_bytes
    if case.gpu_count < 2 or size is None or size >= NEEDED_BYTES:
        return
    yield Finding(
        ID,
        Severity.ERROR,
        f"/dev/shm has {format_bytes(size)}, and {case.gpu_count} workers share it",
        "NCCL and vLLM's own queues need it; they fail, or hang in the load.",
        "In a container: --shm-size=8g or --ipc=host; else mount it larger.",
    )
