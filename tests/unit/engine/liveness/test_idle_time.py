from vllmd.engine.liveness.idle_time import IdleTime
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
