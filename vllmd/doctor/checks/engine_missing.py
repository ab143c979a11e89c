"""There is no vLLM to start."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "engine-missing"


def check(case: Case) -> Iterator[Finding]:
    """Find a program that cannot be run."""
    if case.found:
        return
    program = case.engine.executable[0]
    yield Finding(
        ID,
        Severity.ERROR,
        f"executable: no program {program!r} can be run",
        "The engine cannot be started.",
        "Install one with 'vllmd engine install', take one over with 'vllmd engine adopt PATH', or "
        "correct the path.",
    )
