"""A disk that will be written to is nearly full."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.units import GIB, MIB, format_bytes

ID = "disk-space"
LITTLE, NONE = 2 * GIB, 200 * MIB
MODEL = 20 * GIB
"""What a model of 8 billion parameters takes, with room for the download."""


def check(case: Case) -> Iterator[Finding]:
    """Find disks without room for logs, kernels, or a model that has to be downloaded."""
    for disk in case.host.disks:
        models = disk.purpose == "downloaded models"
        wanted = MODEL if models and case.to_be_downloaded else LITTLE
        if disk.free >= wanted or (models and not case.to_be_downloaded):
            continue
        yield Finding(
            ID,
            Severity.ERROR if disk.free < NONE else Severity.WARNING,
            f"{format_bytes(disk.free)} are free for {disk.purpose} ({disk.folder})",
            "Without room a download breaks off, kernels are compiled at each start, and the log "
            "is dropped where it cannot be written.",
            f"Make room; what takes it: du -xh --max-depth=2 {disk.folder} | sort -h",
        )
