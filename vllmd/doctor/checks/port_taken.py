"""Somebody else has the engine's port."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "port-taken"


def check(case: Case) -> Iterator[Finding]:
    """Find a port that answers although the engine does not run."""
    engine = case.engine
    if engine.name in case.host.running or (engine.host, engine.port) not in case.host.in_use:
        return
    yield Finding(
        ID,
        Severity.ERROR,
        f"port {engine.port} answers, and the engine does not run",
        "The engine loads for minutes, and ends because it cannot listen.",
        f"'ss -ltnp sport = :{engine.port}' names who; end it, or choose another port.",
    )
