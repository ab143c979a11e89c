from hypothesis import given
from hypothesis import strategies as st

from vllmd.config.model import Restart
from vllmd.engine.backoff import Backoff

SETTINGS = Restart(initial_s=1, max_s=60, reset_after_s=600)


def test_after_exit_doubles_up_to_the_longest() -> None:
    backoff = Backoff(SETTINGS)
    assert [backoff.after_exit(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_after_exit_sustained_readiness_begins_anew() -> None:
    backoff = Backoff(SETTINGS)
    for _ in range(5):
        backoff.after_exit(0)
    assert backoff.after_exit(599) == 32
    assert backoff.after_exit(600) == 1


def test_reset_forgets() -> None:
    backoff = Backoff(SETTINGS)
    backoff.after_exit(0)
    backoff.reset()
    assert backoff.after_exit(0) == 1


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_after_exit_stays_within_its_bounds(ready: list[float]) -> None:
    backoff = Backoff(SETTINGS)
    assert all(1 <= backoff.after_exit(ready_s) <= 60 for ready_s in ready)
