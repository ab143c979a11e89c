"""A disk that will be written to is nearly full."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import GIB, MIB, format_bytes

ID = "disk-space"
LITTLE, NONE = 2 * GIB, 200 * MIB
MODEL = 20 * GIB
"""What a model of 8 billion parameters takes, with room for the download."""


def check(case: Case) -> Iterator[Finding]:
    """Find disks without room for logs, kernels, or a model that has to be downloaded."""
    for disk in case.host.disks:
        models = disk.purpose == "downloaded models"
        wanted = MODEL if models and case.to_be_downloaded else LITTLE
        if models and not case.to_be_downloaded:
            continue
        if disk.size is not None and not models:
            wanted = min(wanted, disk.size // 10)  # one of a few megabytes was made for little
        enough = disk.free >= NONE if disk.enough is None else disk.enough
        if enough and disk.free >= wanted:
            continue
        files = "" if disk.free_files is None else f", and {disk.free_files:,} files (inodes),"
        yield Finding(
            ID,
            Severity.WARNING if enough else Severity.ERROR,
            f"{format_bytes(disk.free)}{files} are free for {disk.purpose} ({disk.folder})",
            "Without room a download breaks off, kernels are compiled at each start, and the log "
            "is dropped where it cannot be written.",
            f"Make room; what takes it: du -xh --max-depth=2 {disk.folder} | sort -h",
        )
