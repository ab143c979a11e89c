import pytest

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


def test_what_is_too_large_says_what_to_do() -> None:
    assert "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in str(TooLargeError())
