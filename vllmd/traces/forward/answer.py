"""What a receiver answered, and whether it is worth to try again. Pure.

Source: the OTLP specification, "Failures" for gRPC and for HTTP.
"""

import enum

import attrs


class ExportOutcome(enum.Enum):
    """What to do with a batch."""

    SENT = "sent"
    REFUSED = "refused"
    """It will be refused for ever."""
    RETRY = "retry"


@attrs.frozen
class ExportResponse:
    """The answer to one attempt."""

    verdict: ExportOutcome
    problem: str = ""
    wait_s: float | None = None
    """For how many seconds the receiver asks to wait; None if it does not say."""
    rejected: int = 0
    """Spans that it left out, though it took the rest: they are not sent again."""


RETRIED_STATUS = frozenset({429, 502, 503, 504})
RETRIED_CODES = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
EXHAUSTED = "RESOURCE_EXHAUSTED"
"""Retried only if the receiver says when."""


def of_status(status: int, retry_after: str, problem: str) -> ExportResponse:
    """Judge an HTTP status that is no success; `retry_after` is that header, "" without it.

    One that is a date is passed over: the usual pause is as good.
    """
    wait_s = float(retry_after) if retry_after.isdigit() else None
    verdict = ExportOutcome.RETRY if status in RETRIED_STATUS else ExportOutcome.REFUSED
    return ExportResponse(verdict, problem, wait_s)


def of_code(code: str, wait_s: float | None, problem: str) -> ExportResponse:
    """Judge a gRPC code by its name that is not OK; `wait_s` is what its `RetryInfo` says."""
    again = code in RETRIED_CODES or (code == EXHAUSTED and wait_s is not None)
    return ExportResponse(ExportOutcome.RETRY if again else ExportOutcome.REFUSED, problem, wait_s)
