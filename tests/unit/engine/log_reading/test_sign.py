import pytest

from vllmd.engine.log_reading.reading import read_output
from vllmd.engine.log_reading.sign import Sign, reason_of
from vllmd.logs.milestones import TRACEBACK

FRAME = ['  File "/x/vllm/a.py", line 1, in f', "    assert blocks[0].is_free"]


def root(*lines: str) -> Sign:
    found = read_output([TRACEBACK, *FRAME, *lines]).root
    assert found is not None
    return found


def test_quote_of_an_exception_without_a_message_has_the_line_that_raised_it() -> None:
    assert root("AssertionError").quote == "AssertionError (assert blocks[0].is_free)"
    assert root("AssertionError: no block").quote == "AssertionError: no block"


def test_quote_of_a_validation_error_has_its_reason() -> None:
    said = ("ValidationError: 1 validation error for ModelConfig", "  Value error, no such thing")
    assert root(*said).quote.endswith("ModelConfig: Value error, no such thing")
    assert reason_of(said) == "Value error, no such thing"
    assert reason_of(said[:1]) is None


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ("KeyError: 'x'", True),
        ("ConnectionResetError: [Errno 104] Connection reset by peer", False),
        ("ray.exceptions.RayChannelError: System error: Channel closed.", False),
    ],
)
def test_is_own_of_what_only_says_that_another_process_is_gone(said: str, own: bool) -> None:
    (sign,) = read_output([TRACEBACK, *FRAME, said]).signs
    assert sign.is_own is own
