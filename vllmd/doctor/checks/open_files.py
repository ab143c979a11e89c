"""Too few files may be open at once."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "open-files"
WANTED = 65_535
"""Source: vllm/utils/system_utils.py, set_ulimit."""


def check(case: Case) -> Iterator[Finding]:
    """Find a limit that vLLM warns of at its start."""
    limit = case.host.open_files
    if limit is None or limit >= WANTED or case.engine.is_stand_in:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        f"at most {limit:,} files may be open (ulimit -n)",
        "Each connection is one: with many clients vLLM ends with 'Too many open files'.",
        f"Under systemd the package's unit sets it; else: ulimit -n {WANTED}",
    )
