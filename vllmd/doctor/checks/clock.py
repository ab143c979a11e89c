"""Nothing keeps the clock right."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "clock"


def check(case: Case) -> Iterator[Finding]:
    """Find a clock that drifts."""
    if case.host.synchronized is not False:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        "the clock is not synchronized (timedatectl)",
        "Metrics, spans and logs of different hosts cannot be laid side by side, and certificates "
        "of the hub are refused when it is far off.",
        "timedatectl set-ntp true, or install chrony.",
    )
