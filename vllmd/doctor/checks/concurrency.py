"""More requests may run at once than the KV cache has room for."""

from collections.abc import Iterator

from vllmd.doctor.capacity import tokens_in
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "concurrency"
USUAL_TOKENS = 512
"""A short prompt and its answer: with less for each, requests take room from each other."""


def check(case: Case) -> Iterator[Finding]:
    """Find a max_num_seqs that ends in preemptions."""
    capacity, model, context = case.capacity, case.model.architecture, case.context
    sequences = case.engine.max_num_seqs
    if capacity is None or model is None or context is None or sequences is None:
        return
    if not capacity.fits:
        return
    usual = min(USUAL_TOKENS, context)
    tokens = tokens_in(capacity.kv_bytes, case.demand, model, usual)
    if tokens >= sequences * usual:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        f"max_num_seqs = {sequences}, and the KV cache has room for {tokens:,} tokens: "
        f"{tokens // sequences} for each",
        "Requests lose their KV cache to others, and are computed again.",
        f"Set max_num_seqs = {max(1, tokens // usual)} or less, or give it more memory.",
    )
