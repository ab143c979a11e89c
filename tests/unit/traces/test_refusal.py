import pytest
from google.rpc.code_pb2 import Code

from vllmd.traces.refusal import (
    BusyError,
    CameBackError,
    MalformedError,
    NotGzipError,
    RefusedError,
    SlowError,
    TooLargeError,
)


@pytest.mark.parametrize(
    "error",
    [
        TooLargeError(),
        BusyError(),
        SlowError(),
        NotGzipError("cut off"),
        MalformedError("nothing"),
        CameBackError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_has_a_sentence_and_a_reason_that_is_a_label(error: RefusedError) -> None:
    assert str(error)
    assert error.reason.replace("_", "").isalpha()


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (TooLargeError, (413, "RESOURCE_EXHAUSTED", None)),
        (BusyError, (503, "UNAVAILABLE", 1)),
        (SlowError, (408, "DEADLINE_EXCEEDED", None)),
        (MalformedError, (400, "INVALID_ARGUMENT", None)),
        (CameBackError, (400, "INVALID_ARGUMENT", None)),
    ],
)
def test_only_a_refusal_that_passes_is_answered_with_a_status_that_is_tried_again(
    error: type[RefusedError], answer: tuple[int, str, int | None]
) -> None:
    assert (error.http_status, Code.Name(error.code), error.retry_after_s) == answer


def test_what_is_too_large_says_what_to_do() -> None:
    assert "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in str(TooLargeError())
