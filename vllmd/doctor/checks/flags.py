"""A flag or a value that this version of vLLM does not take."""

from collections.abc import Iterator

from vllmd.config import problem
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.installing.flags import problems

ID = "flags"
GRAVITY = {
    problem.Severity.ERROR: Severity.ERROR,
    problem.Severity.WARNING: Severity.WARNING,
}


def check(case: Case) -> Iterator[Finding]:
    """Find what the parser would refuse 12 seconds into a start."""
    if case.engine.is_stand_in or case.flag_table is None:
        return
    for each in problems(case.engine, case.flag_table):
        yield Finding(
            ID,
            GRAVITY[each.severity],
            f"{each.key}: {each.message}",
            "vLLM ends at once with what it does not know, and drops what is deprecated.",
            each.fix,
        )
