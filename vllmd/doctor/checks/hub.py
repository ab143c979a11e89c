"""The model has to be downloaded, and cannot be."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "hub"


def check(case: Case) -> Iterator[Finding]:
    """Find a hub that is out of reach, and a model that it does not give out."""
    if case.hub is None:
        return
    yield Finding(
        ID,
        Severity.ERROR,
        f"model: {case.engine.model!r} is not on this host, and {case.hub}",
        "The engine cannot start without its model.",
        "Write to /etc/vllmd/credentials/hf_token a token that has accepted the model's terms; "
        "correct the name; or copy the model here and give its folder.",
    )
