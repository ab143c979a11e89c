"""Why a request to export is not taken; each has a reason for the page and a sentence. Pure."""

from typing import ClassVar

FEWER = "set OTEL_BSP_MAX_EXPORT_BATCH_SIZE (its default is 512) or the batch size of the collector"


class RefusedError(Exception):
    """A request is not taken; the text says why, and what its sender can do."""

    reason: ClassVar[str]


class TooLargeError(RefusedError):
    """A body holds more than is taken; sending it again does not help."""

    reason = "too_large"

    def __init__(self, message: str = f"the body is too large: send fewer spans at once, {FEWER}"):
        super().__init__(message)


class BusyError(RefusedError):
    """There is no room for another body now; there will be in a moment."""

    reason = "busy"

    def __init__(self) -> None:
        super().__init__("too many requests are under way: try again")


class SlowError(RefusedError):
    """A body did not arrive in time."""

    reason = "slow"

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
