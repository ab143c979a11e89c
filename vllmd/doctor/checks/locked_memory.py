"""Little memory may be locked."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import GIB, format_bytes

ID = "locked-memory"
WANTED = GIB


def check(case: Case) -> Iterator[Finding]:
    """Find a limit that stands in the way of RDMA and of large pinned buffers."""
    limit = case.host.locked_memory_bytes
    several = case.gpu_count > 1
    if limit is None or limit >= WANTED or not several:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        f"at most {format_bytes(limit)} may be locked (ulimit -l), and {case.gpu_count} GPUs work "
        "together",
        "NCCL registers memory for RDMA, and fails or falls back to slower ways where it may not.",
        "Under systemd the package's unit sets LimitMEMLOCK=infinity; else: ulimit -l unlimited",
    )
