from collections.abc import Collection, Mapping

import pytest

from vllmd.cost.gpu_shares import held, worked
from vllmd.cost.usage import NOBODY, OTHERS
from vllmd.gpu.memory_shares import Holder, Owner

ENGINES = ("a", "b", "c")


def engine(name: str, size: int | None) -> Holder:
    return Holder(1, size, Owner.ENGINE, name)


FOREIGN = Holder(2, 40, Owner.FOREIGN)
ORPHAN = Holder(3, 10, Owner.ORPHAN, "a")


@pytest.mark.parametrize(
    ("holders", "wanted", "held_back", "paying"),
    [
        # those that hold memory, by how much: who is wanted too pays nothing
        ([engine("a", 60), engine("b", 20)], "abc", "", {"a": 60, "b": 20}),
        ([engine("a", 60), engine("a", 20)], "", "", {"a": 80}),
        ([engine("a", 60), FOREIGN, ORPHAN], "a", "", {"a": 60, OTHERS: 50}),
        # where it is not told how much they hold, alike
        ([engine("a", None), engine("b", 20)], "ab", "", {"a": 1, "b": 1}),
        ([engine("a", None), FOREIGN], "a", "", {"a": 1}),
        # of those that run nowhere, who is wanted; one that is held only if it is alone there
        ([], "bc", "a", {"b": 1, "c": 1}),
        ([], "", "ac", {"a": 1, "c": 1}),
        ([], "", "", {NOBODY: 1}),
        # what others leave free
        ([FOREIGN], "bc", "", {OTHERS: 40, "b": 30, "c": 30}),
        ([FOREIGN], "", "", {OTHERS: 40, NOBODY: 60}),
        # of an engine that is not configured any more
        ([engine("gone", 50)], "a", "", {OTHERS: 50, "a": 50}),
    ],
)
def test_held_says_who_pays(
    holders: list[Holder], wanted: str, held_back: str, paying: Mapping[str, int]
) -> None:
    assert held(holders, ENGINES, set(wanted), set(held_back), 100) == paying


def test_engine_that_sleeps_pays_for_what_it_holds_and_nobody_for_the_rest() -> None:
    def paying(*holders: Holder) -> Mapping[str, int]:
        return held(holders, ENGINES, set("ab"), set(), 100, {"a"})

    assert paying(engine("a", 2)) == {"a": 2, NOBODY: 98}
    assert paying(engine("a", 2), FOREIGN) == {"a": 2, OTHERS: 40, NOBODY: 58}
    assert paying(engine("a", 2), engine("b", 90)) == {"a": 2, "b": 90}, "the GPU is in use"


def test_held_where_others_have_all_or_the_size_is_not_known_is_theirs() -> None:
    assert held([FOREIGN], ENGINES, {"a"}, set(), 40) == {OTHERS: 40}
    assert held([FOREIGN], ENGINES, {"a"}, set(), None) == {OTHERS: 40}


@pytest.mark.parametrize(
    ("busy", "working"),
    [
        ({"a"}, {"a": 0.8, OTHERS: 0.2}),
        ({"a", "b"}, {"a": 0.4, "b": 0.4, OTHERS: 0.2}),
        (set(), {OTHERS: 1.0}),
        ({"c"}, {OTHERS: 1.0}),
    ],
)
def test_worked_says_who_computes(busy: Collection[str], working: Mapping[str, float]) -> None:
    parts = worked({"a": 60, "b": 20, OTHERS: 20}, busy)
    whole = sum(parts.values())
    assert {name: part / whole for name, part in parts.items()} == pytest.approx(working)


def test_worked_a_desktop_beside_an_idle_engine_is_no_work() -> None:
    assert worked({"a": 99, OTHERS: 1}, set()) == {}
    assert worked({"a": 60, "b": 40}, {"b"}) == {"b": 100}
    assert worked({NOBODY: 1}, {"b"}) == {}
