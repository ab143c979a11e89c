import pytest

from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading, did_nothing


def test_reading_sums_its_ranks() -> None:
    reading = Reading(
        0.0, PageAnswer.PAGE, {"0": RankProgress(9, 1, 2), "1": RankProgress(9, 3, 4)}
    )
    assert (reading.running, reading.waiting) == (4, 6)


def test_rank_with_waiting_requests_only_has_work() -> None:
    assert RankProgress(1, 0, 1).has_work
    assert not RankProgress(1, 0, 0).has_work


def test_reading_is_over_when_all_of_it_was_there() -> None:
    assert Reading(5.0, PageAnswer.NONE, took_s=2.5).until == 7.5


@pytest.mark.parametrize(
    ("cpu_s", "moved", "seconds", "nothing"),
    [
        (0.5, 10_000, 10.0, True),
        (0.51, 0, 10.0, False),
        (0.0, 10_001, 10.0, False),
        (0.03, 500, 0.1, True),  # three ticks of a process that woke up
        (0.06, 500, 0.1, False),
    ],
)
def test_little_cpu_and_few_bytes_are_nothing(
    cpu_s: float, moved: int, seconds: float, *, nothing: bool
) -> None:
    assert did_nothing(cpu_s, moved, seconds, bytes_per_s=1000) is nothing
