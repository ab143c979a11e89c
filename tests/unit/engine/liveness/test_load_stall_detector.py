"""The judge of a load: what gets on is no stall, and what does not is found at its limit."""

import pytest

from tests.helpers.stalling import POLL_S
from vllmd.engine.liveness.reading import (
    ProcessActivity,
)
from vllmd.engine.liveness.stall_detector import LoadStallDetector


@pytest.mark.parametrize("io_bytes", [0, 10_000_000])
def test_load_judge_bytes_that_move_are_progress(io_bytes: int) -> None:
    detector = LoadStallDetector(100, POLL_S)
    found = None
    for n in range(60):
        activity = ProcessActivity(0.0, 0.0, n * io_bytes)
        found = found or detector.assess(n * POLL_S, spoke=False, activity=activity)
    assert (found is None) == (io_bytes > 0)


def test_load_judge_vram_that_grows_is_progress() -> None:
    detector = LoadStallDetector(100, POLL_S)
    for n in range(60):
        activity = ProcessActivity(0.0, 0.0, 0, gpu_memory_bytes=n)
        assert detector.assess(n * POLL_S, spoke=False, activity=activity) is None


def test_load_judge_what_cannot_be_read_is_no_stall() -> None:
    detector = LoadStallDetector(100, POLL_S)
    for n in range(60):
        assert detector.assess(n * POLL_S, spoke=False, activity=None) is None


def test_load_judge_heartbeats_between_processes_are_no_progress() -> None:
    detector = LoadStallDetector(100, POLL_S)
    found = [
        detector.assess(
            n * POLL_S, spoke=False, activity=ProcessActivity(0.0, 0.0, int(n * POLL_S * 1024))
        )
        for n in range(60)
    ]
    assert found[-1] is not None


def test_load_judge_counts_from_the_first_look_and_only_time_that_passes() -> None:
    detector, still = LoadStallDetector(100, POLL_S), ProcessActivity(1.0, 1.0, 1)
    assert detector.assess(0.0, spoke=False, activity=still) is None
    for at in (0.0, 0.0, 50.0, 50.0, -10.0, 50.0, 99.0):
        detector.assess(min(at, 30.0), spoke=False, activity=still)
    assert detector.assess(30.0, spoke=False, activity=still) is None


def test_load_judge_is_over_at_its_limit_and_not_a_second_before() -> None:
    detector, still = LoadStallDetector(100, POLL_S), ProcessActivity(1.0, 1.0, 1)
    looks = [*(n * POLL_S for n in range(20)), 99.5]
    assert {detector.assess(at, spoke=False, activity=still) for at in looks} == {None}
    assert detector.assess(100.0, spoke=False, activity=still) is not None


def test_load_judge_time_that_was_not_watched_does_not_count() -> None:
    detector, still = LoadStallDetector(100, POLL_S), ProcessActivity(1.0, 1.0, 1)
    for at in (0.0, 5.0, 5.0 + 8 * 3600, 10.0 + 8 * 3600):  # nobody looked all night
        assert detector.assess(at, spoke=False, activity=still) is None


def test_load_judge_looks_whose_time_is_not_known_are_compared_by_their_distance() -> None:
    detector = LoadStallDetector(120, POLL_S)
    detector.assess(0.0, spoke=False, activity=ProcessActivity(0.0, 0.0, 0))
    for at in (5.0, 10.0):
        assert (
            detector.assess(at, spoke=False, activity=ProcessActivity(0.0, 0.0, 0, at=at)) is None
        )
