import pytest

from tests.helpers.comparing import ANSWERS, a_round, measured
from vllmd.comparing.comparison import compare, same_load

OLD = measured()


def test_a_version_like_the_one_before_is_not_worse() -> None:
    found = compare(OLD, measured(a_round(95.0), version="0.32.0"))
    assert found.worse == ()
    assert not found.answers_differ
    assert (found.same_answers, found.own_answers) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("now", "worse"),
    [
        (a_round(80.0), ("answered tokens",)),
        (a_round(first_token_s=0.2), ("first token",)),
        (a_round(first_token_p95_s=0.6), ("first token, p95",)),
        (a_round(between_tokens_p95_s=0.03), ("between tokens, p95",)),
        (a_round(failed=9), ("failed requests",)),
        (a_round(failed=1), ()),
        (a_round(200.0, first_token_s=0.01), ()),
    ],
)
def test_each_figure_that_is_worse_speaks_for_going_back(now: object, worse: object) -> None:
    assert compare(OLD, measured(now, version="0.32.0")).worse == worse  # type: ignore[arg-type]


def test_failures_are_a_share_of_what_was_asked() -> None:
    one = measured(a_round(failed=1))
    assert compare(one, measured(*[a_round(failed=1)] * 3)).worse == ()


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        ((0, 0, 0), (1, 0, 0), False),
        ((0, 0, 0), (1, 1, 1), False),
        ((0, 0, 0), (0, 0, 30), False),
        ((0, 0, 0), (3, 4, 5), True),
        ((5, 5, 5), (7, 6, 7), False),
        ((5, 5, 5), (100, 100, 100), True),
        ((0,), (4,), False),
        ((0,), (10,), True),
    ],
)
def test_failures_are_worse_beyond_chance_and_in_most_rounds(
    before: tuple[int, ...], after: tuple[int, ...], worse: bool
) -> None:
    old, new = (measured(*(a_round(failed=n) for n in each)) for each in (before, after))
    assert (compare(old, new).worse == ("failed requests",)) is worse


def test_what_the_rounds_differ_by_themselves_is_no_change() -> None:
    noisy = measured(a_round(100.0), a_round(140.0), a_round(70.0))
    assert compare(noisy, measured(a_round(75.0))).worse == ()


def test_answers_are_held_against_how_far_a_version_agrees_with_itself() -> None:
    other = (*ANSWERS[:5], *"vwxyz")
    assert compare(OLD, measured(a_round(answers=other), again=other)).answers_differ
    unsteady = measured(again=(*ANSWERS[:4], *"123456"))
    found = compare(unsteady, measured(a_round(answers=other)))
    assert (found.same_answers, found.own_answers) == (0.5, 0.4)
    assert not found.answers_differ
    assert not compare(OLD, measured(a_round(answers=()), again=())).answers_differ


def test_other_prompts_are_another_load() -> None:
    assert same_load(OLD, measured())
    assert not same_load(OLD, measured(a_round(prompt_tokens=4999)))


def test_nothing_measured_is_no_division_by_zero() -> None:
    nothing = measured(a_round(0.0, first_token_s=0.0))
    assert "answered tokens" not in compare(nothing, OLD).worse
