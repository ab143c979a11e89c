"""A file of the model is missing, or not whole."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "model-files"


def check(case: Case) -> Iterator[Finding]:
    """Find downloads that broke off."""
    for problem in case.model.problems:
        yield Finding(
            ID,
            Severity.ERROR,
            problem,
            "The engine fails in the middle of its load, after minutes for a big model.",
            "Download or copy it again: hf download goes on where it broke off.",
        )
