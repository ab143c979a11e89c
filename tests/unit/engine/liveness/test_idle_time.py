from vllmd.engine.liveness.idle_time import IdleTime, OwnRequests
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading


def look(at: float, steps: float, running: int = 0) -> Reading:
    return Reading(at, PageAnswer.PAGE, {"0": RankProgress(steps, running, 0)})


def after(*looks: Reading, probed: tuple[int, ...] = ()) -> float | None:
    idle = IdleTime()
    for number, reading in enumerate(looks):
        idle.saw(reading, probed=number in probed)
    return idle.seconds


def test_idle_time_counts_from_the_first_look() -> None:
    assert after() is None
    assert after(look(10, 5)) == 0
    assert after(look(10, 5), look(40, 5)) == 30


def test_request_in_flight_and_one_between_two_looks_begin_it_anew() -> None:
    assert after(look(10, 5), look(20, 5, running=1), look(25, 5)) == 5
    assert after(look(10, 5), look(20, 9), look(25, 9)) == 5


def test_canary_is_no_request() -> None:
    looks = look(10, 5), look(20, 5, running=1), look(30, 6), look(40, 6)
    assert after(*looks, probed=(1,)) == 30


def test_page_that_is_late_changes_nothing_and_one_without_counts_says_nothing() -> None:
    late = Reading(20, PageAnswer.NONE)
    assert after(look(10, 5), late, look(30, 5)) == 20
    assert after(look(10, 5), Reading(20, PageAnswer.PAGE)) is None


def test_wake_begins_it_anew() -> None:
    idle = IdleTime()
    idle.saw(look(10, 5), probed=False)
    idle.saw(look(50, 5), probed=False)
    idle.begin()
    assert idle.seconds is None
    idle.saw(look(60, 5), probed=False)
    idle.saw(look(65, 5), probed=False)
    assert idle.seconds == 5


def asked(*looks: tuple[Reading, OwnRequests]) -> float | None:
    idle = IdleTime()
    for reading, own in looks:
        idle.saw(reading, probed=False, own=own)
    return idle.seconds


def test_requests_to_ranks_are_of_nobody_and_hide_no_client() -> None:
    before = (look(10, 5), OwnRequests())
    sent = (look(15, 5, running=2), OwnRequests(2, 2))
    answered = (look(20, 7), OwnRequests(2, 2))
    rest = (look(25, 7), OwnRequests(2, 0))
    assert asked(before, sent, answered, rest) == 15
    beside = (look(15, 5, running=3), OwnRequests(2, 2))
    assert asked(before, beside, answered, rest) == 10
    between = (look(20, 8), OwnRequests(2, 2))
    assert asked(before, sent, between, (look(25, 8), OwnRequests(2, 0))) == 5


def test_request_to_a_rank_that_made_no_step_hides_no_client() -> None:
    sent = (look(15, 5), OwnRequests(1, 1))
    refused = (look(20, 6), OwnRequests(0, 1))
    assert asked((look(10, 5), OwnRequests()), sent, refused) == 0
