"""From where growth counts."""

from hypothesis import given
from hypothesis import strategies as st

from vllmd.gpu.growth import LONGEST_STEP_S, SETTLE_S, Baseline

MIB = 1024**2
READY = Baseline("run", 1000 * MIB)


def worked(base: Baseline, size: int, running: int, seconds: float) -> Baseline:
    for _ in range(int(seconds // 10)):
        base = base.after(size, running, 10.0)
    return base


def test_an_engine_without_work_has_no_reason_to_grow() -> None:
    assert worked(READY, 3000 * MIB, 0, 10_000) == READY


def test_what_the_first_batches_take_is_no_growth() -> None:
    assert READY.after(1800 * MIB, 8, 10.0).bytes == 1800 * MIB
    settled = worked(READY, 1800 * MIB, 8, SETTLE_S + 20)
    assert settled.after(2000 * MIB, 8, 10.0).bytes == 1800 * MIB


def test_more_requests_than_ever_may_take_more() -> None:
    settled = worked(READY, 1800 * MIB, 8, SETTLE_S + 20)
    assert settled.after(2000 * MIB, 16, 10.0) == Baseline("run", 2000 * MIB, 16, 0.0)


def test_memory_that_was_given_back_leaves_the_highest() -> None:
    assert READY.after(1800 * MIB, 8, 10.0).after(1200 * MIB, 8, 10.0).bytes == 1800 * MIB


def test_a_long_time_between_two_listings_is_no_work() -> None:
    base = READY.after(READY.bytes, 8, 1.0)
    assert base.after(READY.bytes, 8, 10_000.0).worked_s == LONGEST_STEP_S


@given(st.lists(st.integers(0, 64), max_size=300))
def test_a_leak_is_seen_whatever_the_load(loads: list[int]) -> None:
    """Of 1 MiB at each listing no more is hidden than what is taken while it settles."""
    base, size = READY, READY.bytes
    for running in loads:
        size += MIB
        base = base.after(size, running, 10.0)
    peaks = sum(1 for i, load in enumerate(loads) if load and load > max(loads[:i], default=0))
    # each new peak adds at most what is taken until it has settled, and before it
    assert size - base.bytes >= 0
    assert base.bytes <= size
    if not peaks:
        assert base.bytes == READY.bytes
