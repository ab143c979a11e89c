import pytest

from vllmd.traces.forward.answer import ExportOutcome, of_code, of_status


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_statuses_of_the_specification_are_tried_again(status: int) -> None:
    answer = of_status(status, "7", "HTTP")
    assert (answer.verdict, answer.wait_s) == (ExportOutcome.RETRY, 7.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 500, 501, 301])
def test_other_statuses_are_not(status: int) -> None:
    assert of_status(status, "", "HTTP").verdict is ExportOutcome.REFUSED


def test_a_date_in_retry_after_is_not_read() -> None:
    assert of_status(503, "Wed, 21 Oct 2026 07:28:00 GMT", "").wait_s is None


@pytest.mark.parametrize(
    "code",
    ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"],
)
def test_codes_of_the_specification_are_tried_again(code: str) -> None:
    assert of_code(code, None, "").verdict is ExportOutcome.RETRY


def test_exhausted_is_tried_again_only_if_it_says_when() -> None:
    assert of_code("RESOURCE_EXHAUSTED", None, "").verdict is ExportOutcome.REFUSED
    assert of_code("RESOURCE_EXHAUSTED", 2.0, "").verdict is ExportOutcome.RETRY


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "UNIMPLEMENTED", "PERMISSION_DENIED", "OK"])
def test_other_codes_are_not(code: str) -> None:
    assert of_code(code, 5.0, "").verdict is ExportOutcome.REFUSED
