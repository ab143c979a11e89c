"""The guard and a reader that is played: a culprit ends it in one of the ways that there are."""

import itertools
import random
from collections.abc import Callable, Iterable

import pytest

from tests.helpers.each import of_each
from vllmd.gpu.calls import RowKey
from vllmd.gpu.row_guard import CRASHED, FOUND, HUNG, SHORT_S, RowGuard
from vllmd.util.units import HOUR_S

ROWS = [RowKey(f"GPU-{gpu}", f"row{n}") for gpu in (1, 2) for n in range(12)]
Die = Callable[[list[RowKey], set[RowKey]], RowKey | None]
"""Of what is asked for in one round, and who is guilty: during which call the process ends."""


def at_once(asked: list[RowKey], guilty: set[RowKey]) -> RowKey | None:
    return next((key for key in asked if key in guilty), None)


def at_the_next(asked: list[RowKey], guilty: set[RowKey]) -> RowKey | None:
    """It writes beyond its memory, and the next call ends the process."""
    first = at_once(asked, guilty)
    if first is None:
        return None
    return asked[(asked.index(first) + 1) % len(asked)]


def anywhere(asked: list[RowKey], guilty: set[RowKey]) -> RowKey | None:
    first = at_once(asked, guilty)
    return None if first is None else random.Random(repr(asked)).choice(asked)


class Played:
    """A reader that is started again until a trial is passed."""

    def __init__(self, guilty: Iterable[RowKey], die: Die, *, late: bool = False) -> None:
        """Make it; one that ends late has asked for all before."""
        self.late = late
        self.guilty = set(guilty)
        self.die = die
        self.told: list[tuple[RowKey, str | None]] = []
        self.guard = RowGuard(lambda key, why: self.told.append((key, why)))
        self.ends = 0

    def run(self) -> bool:
        """Run it once; tell whether it lives on with all that is not proven."""
        out = self.guard.leave_out()
        asked = [key for key in ROWS if key not in out]
        end = self.die(asked, self.guilty)
        called = asked if self.late or end is None else asked[: asked.index(end) + 1]
        if end is None:
            while self.guard.has_passed(1000, 1e9):
                self.guard.passed(asked)
                if self.guard.leave_out() != out:
                    return False
            return True
        self.ends += 1
        self.guard.crashed(called, end, lived_s=15.0)
        return False

    def lives(self) -> None:
        for _ in range(500):
            if self.run():
                return
        raise AssertionError("it never lives")


WAYS = [(at_once, False), (at_once, True), (at_the_next, True), (anywhere, True)]


@of_each(itertools.product(ROWS, WAYS))
def test_one_guilty_row_is_all_that_is_left_out(case: tuple[RowKey, tuple[Die, bool]]) -> None:
    guilty, (die, late) = case
    played = Played([guilty], die, late=late)
    played.lives()
    assert set(played.guard.left_out) == {guilty}
    assert played.ends <= 12


@pytest.mark.parametrize(("die", "late"), WAYS)
def test_several_guilty_rows_are_found_one_after_another(die: Die, late: bool) -> None:
    """Both directions of NVLink, on both GPUs."""
    guilty = [RowKey(f"GPU-{gpu}", f"row{n}") for gpu in (1, 2) for n in (7, 8)]
    played = Played(guilty, die, late=late)
    played.lives()
    assert set(played.guard.left_out) == set(guilty)


def test_row_during_which_it_ended_twice_is_left_out_and_told() -> None:
    played = Played([ROWS[3]], at_once)
    played.run()
    assert not played.guard.left_out, "once may be chance"
    played.run()
    assert played.told == [(ROWS[3], CRASHED)]
    assert played.guard.leave_out() == {ROWS[3]}


def test_row_whose_leaving_out_does_not_help_is_read_again() -> None:
    played = Played([ROWS[3]], at_the_next, late=True)
    played.lives()
    assert played.told == [(ROWS[4], CRASHED), (ROWS[4], None), (ROWS[3], FOUND)]


def test_row_that_hangs_twice_is_left_out_at_once() -> None:
    guard = RowGuard(lambda *_: None)
    guard.hung(ROWS[0], 20.0)
    guard.hung(ROWS[1], 20.0)
    guard.hung(None, 20.0)
    assert not guard.left_out
    guard.hung(ROWS[0], 20.0)
    assert guard.left_out == {ROWS[0]: HUNG}
    assert not guard.careful


def test_ends_of_a_row_that_are_far_apart_do_not_count_together() -> None:
    played = Played([], at_once)
    guard = played.guard
    guard.hung(ROWS[0], 20.0)
    guard.hung(ROWS[0], SHORT_S)
    guard.crashed(ROWS, ROWS[1], 20.0)
    guard.crashed(ROWS, ROWS[1], 30 * 24 * HOUR_S)
    assert played.told == []
    guard.crashed(ROWS, ROWS[1], 20.0)
    assert played.told == [(ROWS[1], CRASHED)]
    guard.hung(ROWS[0], SHORT_S)
    guard.crashed(ROWS, ROWS[2], 20.0)
    assert guard.leave_out(), "the search begins all the same"


def test_row_that_hung_is_read_again_once_after_a_run_of_an_hour_without_it() -> None:
    played = Played([], at_once)
    guard = played.guard
    for _ in range(2):
        guard.hung(ROWS[0], 20.0)
    assert not guard.tries_again(HOUR_S - 1)
    assert guard.tries_again(HOUR_S)
    assert guard.leave_out() == frozenset()
    assert not guard.tries_again(HOUR_S)
    guard.hung(ROWS[0], 20.0)
    assert played.told == [(ROWS[0], HUNG), (ROWS[0], None), (ROWS[0], HUNG)]
    assert not guard.tries_again(99 * HOUR_S), "once"


def test_row_that_crashed_is_not_read_again_nor_one_that_hung_while_it_is_not_calm() -> None:
    guard = Played([], at_once).guard
    for _ in range(2):
        guard.hung(ROWS[0], 20.0)
    for _ in range(2):
        guard.crashed(ROWS, ROWS[1], 20.0)
    assert not guard.tries_again(2 * HOUR_S)
    guard.passed(ROWS)
    assert guard.tries_again(2 * HOUR_S)
    assert guard.left_out == {ROWS[1]: CRASHED}


def test_end_outside_of_all_calls_leaves_nothing_out_until_it_goes_on() -> None:
    guard = RowGuard(lambda *_: None)
    for _ in range(2):
        guard.crashed(ROWS, None, 15.0)
    assert guard.leave_out() == frozenset()
    guard.crashed(ROWS, None, 15.0)
    assert len(guard.leave_out()) == len(ROWS) // 2


@pytest.mark.parametrize("lived_s", [5.0, 500.0])
def test_crashes_that_come_no_more_leave_nothing_out(lived_s: float) -> None:
    played = Played([], at_once)
    for number in (5, 17, 23):
        played.guard.crashed(ROWS, ROWS[number], lived_s)
    assert played.guard.leave_out(), "a search"
    played.lives()
    assert played.guard.leave_out() == frozenset()
    assert not played.guard.careful
    assert played.told == []


@pytest.mark.parametrize("guilty", [ROWS[0], ROWS[-1]], ids=["first", "last"])
def test_last_suspect_of_a_search_is_read_once_more(guilty: RowKey) -> None:
    played = Played([guilty], lambda asked, bad: asked[-1] if bad & set(asked) else None)
    for number in (5, 17, 23):
        played.guard.crashed(ROWS, ROWS[number], 5.0)
    played.lives()
    assert played.told == [(guilty, FOUND)]


def test_library_that_ends_before_any_row_costs_no_row() -> None:
    guard = RowGuard(lambda *_: None)
    for _ in range(50):
        guard.crashed((), None, 0.1)
    assert guard.leave_out() == frozenset()


def test_ends_that_are_far_apart_begin_no_search() -> None:
    guard = RowGuard(lambda *_: None)
    for key in ROWS:
        guard.crashed(ROWS, key, SHORT_S)
    assert guard.leave_out() == frozenset()


def test_trial_lasts_longer_than_what_it_is_about() -> None:
    guard = RowGuard(lambda *_: None)
    guard.crashed(ROWS, ROWS[0], 45.0)
    assert not guard.has_passed(19, 1000.0)
    assert not guard.has_passed(100, 134.0)
    assert guard.has_passed(100, 135.0)
    guard.passed(ROWS)
    assert not guard.careful
    assert not guard.has_passed(1000, 1000.0), "nothing is tried any more"
