from vllmd.engine.liveness.reading import Answer, Rank, Reading


def test_reading_sums_its_ranks() -> None:
    reading = Reading(0.0, Answer.PAGE, {"0": Rank(9, 1, 2), "1": Rank(9, 3, 4)})
    assert (reading.running, reading.waiting) == (4, 6)


def test_rank_with_waiting_requests_only_has_work() -> None:
    assert Rank(1, 0, 1).has_work
    assert not Rank(1, 0, 0).has_work


def test_reading_is_over_when_all_of_it_was_there() -> None:
    assert Reading(5.0, Answer.NONE, took_s=2.5).until == 7.5
