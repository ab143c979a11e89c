"""Much of the disk is taken by what earlier runs left."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import GIB, format_bytes

ID = "leftovers"
HUGE = 5 * GIB


def check(case: Case) -> Iterator[Finding]:
    """Find what is large, and will not be missed."""
    for each in case.host.leftovers:
        if each.size < HUGE:
            continue
        yield Finding(
            ID,
            Severity.INFO,
            f"{format_bytes(each.size)} of {each.what} ({each.where})",
            "Nothing that serves reads it; compiled kernels are made anew at the next start.",
            "Remove it, while no engine starts.",
        )
