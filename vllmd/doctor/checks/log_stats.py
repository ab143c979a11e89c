"""vLLM is told to show no figures."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "log-stats"


def check(case: Case) -> Iterator[Finding]:
    """Find the flag that takes vllmd's eyes."""
    if case.flag("disable-log-stats"):
        yield Finding(
            ID,
            Severity.WARNING,
            "flags.disable-log-stats is set",
            "vLLM's page is empty: a hang cannot be told from rest, and alerts about requests "
            "cannot fire.",
            "Take it out.",
        )
