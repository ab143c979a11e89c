"""What the functions do is shown in a process of its own: test_reader.py."""

import pynvml
import pytest

from vllmd.gpu import devices, wire


def test_every_problem_has_a_word_that_is_known() -> None:
    assert set(devices.PROBLEMS.values()) <= set(wire.REASONS)


def test_no_answer_is_both_of_no_use_and_fatal() -> None:
    assert not devices.UNSUPPORTED & devices.FATAL
    assert not devices.UNSUPPORTED & devices.LOST.keys()
    assert not devices.FATAL & devices.LOST.keys()


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_TIMEOUT, pynvml.NVML_ERROR_UNKNOWN])
def test_what_may_pass_is_asked_again(code: int) -> None:
    assert code not in devices.UNSUPPORTED | devices.FATAL | devices.LOST.keys()
