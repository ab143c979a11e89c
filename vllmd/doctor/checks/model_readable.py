"""The engine's user cannot read the model."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "model-readable"


def check(case: Case) -> Iterator[Finding]:
    """Find a folder that is there for who asks, and not for the engine."""
    if case.unreadable is None:
        return
    yield Finding(
        ID,
        Severity.ERROR,
        f"model: {case.unreadable}",
        "To the engine the model is not there.",
        "Put it where the user may read it, such as /srv/models: chmod -R a+rX FOLDER",
    )
