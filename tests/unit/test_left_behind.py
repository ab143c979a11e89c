import warnings

import pytest


@pytest.mark.parametrize(
    "left",
    [
        pytest.PytestUnraisableExceptionWarning("Event loop is closed"),
        pytest.PytestUnhandledThreadExceptionWarning("KeyError"),
        RuntimeWarning("coroutine 'run' was never awaited"),
    ],
)
def test_what_a_test_leaves_behind_fails_it(left: Warning) -> None:
    with pytest.raises(type(left)):
        warnings.warn(left, stacklevel=1)
