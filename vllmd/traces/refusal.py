"""Why a request to export is not taken, and what it is answered with. Pure.

Source: the OTLP specification, "OTLP/HTTP Response" and "OTLP/gRPC Response": which status a sender
tries again.
"""

from typing import ClassVar

RETRY_AFTER_S = 1
"""vLLM's exporter has ten seconds in all: to ask for more is to lose the batch."""
INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED = 3, 4, 5, 8
UNIMPLEMENTED, UNAVAILABLE = 12, 14
"""Codes of `google.rpc.Status`, which are those of gRPC."""
FEWER = "set OTEL_BSP_MAX_EXPORT_BATCH_SIZE (its default is 512) or the batch size of the collector"


class RefusedError(Exception):
    """A request is not taken; the text says why, and what its sender can do."""

    reason: ClassVar[str]
    """Its label on the page."""
    http_status: ClassVar[int] = 400
    code: ClassVar[int] = INVALID_ARGUMENT
    """Of `google.rpc.Status`."""
    retry_after_s: ClassVar[int | None] = None
    """When to send it again, in seconds; None: that does not help."""


class TooLargeError(RefusedError):
    """A body holds more than is taken; sending it again does not help."""

    reason = "too_large"
    http_status = 413
    code = RESOURCE_EXHAUSTED

    def __init__(self, message: str = f"the body is too large: send fewer spans at once, {FEWER}"):
        super().__init__(message)


class BusyError(RefusedError):
    """There is no room for another body now; there will be in a moment."""

    reason = "busy"
    http_status = 503
    code = UNAVAILABLE
    retry_after_s = RETRY_AFTER_S

    def __init__(self) -> None:
        super().__init__("too many requests are under way: try again")


class SlowError(RefusedError):
    """A body did not arrive in time."""

    reason = "slow"
    http_status = 408
    code = DEADLINE_EXCEEDED

    def __init__(self) -> None:
        super().__init__("the body did not come in time")


class NotGzipError(RefusedError):
    """A body that should be gzip is not, or is cut off."""

    reason = "malformed"


class MalformedError(RefusedError):
    """A body is no request to export traces; sending it again does not help."""

    reason = "malformed"


class CameBackError(RefusedError):
    """A request was passed on by this daemon itself."""

    reason = "came_back"

    def __init__(self) -> None:
        super().__init__("these spans were forwarded by this vllmd: fix traces.forward.endpoint")
