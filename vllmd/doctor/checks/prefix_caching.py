"""Prefix caching is turned off."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "prefix-caching"


def check(case: Case) -> Iterator[Finding]:
    """Find the flag that makes vLLM compute what it knows."""
    if case.engine.enable_prefix_caching is False:
        yield Finding(
            ID,
            Severity.WARNING,
            "enable_prefix_caching = false",
            "System prompts and earlier turns are computed again for each request; the cache takes "
            "no memory that would be used otherwise.",
            "Take the line out, unless you measure without it on purpose.",
        )
