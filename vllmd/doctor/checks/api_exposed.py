"""The API answers everybody who reaches the host."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "api-exposed"


def check(case: Case) -> Iterator[Finding]:
    """Find an open API, and one that can be commanded."""
    if not case.reachable:
        return
    where = f"host = {case.engine.host!r}"
    if case.env.get("VLLM_SERVER_DEV_MODE") == "1":
        yield Finding(
            ID,
            Severity.ERROR,
            f"{where} with VLLM_SERVER_DEV_MODE = 1",
            "Everybody who reaches the port may put the engine to sleep, and run code in it.",
            'Take the variable out, or set host = "127.0.0.1".',
        )
    if not case.env.get("VLLM_API_KEY"):
        yield Finding(
            ID,
            Severity.WARNING,
            f"{where} without VLLM_API_KEY",
            "Everybody who reaches the port may use the model.",
            'Write one to /etc/vllmd/credentials/api_key, or set host = "127.0.0.1" with a proxy '
            "in front.",
        )
