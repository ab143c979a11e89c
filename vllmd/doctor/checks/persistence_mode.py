"""The driver forgets the GPUs between two engines."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "persistence-mode"


def check(case: Case) -> Iterator[Finding]:
    """Find GPUs whose state is torn down when the last process lets go of them."""
    if case.host.persistent is not False:
        return
    yield Finding(
        ID,
        Severity.INFO,
        "persistence mode is off",
        "Each start initializes the GPUs anew, which takes seconds, and settings such as power "
        "limits are lost.",
        "systemctl enable --now nvidia-persistenced (or: nvidia-smi -pm 1)",
    )
