"""Conditions hold, do not, or are not known."""

import pytest

from vllmd.importing.shell.conditions import both, holds, negate
from vllmd.importing.unknown import Place, mark

X = mark("$X", "not known", Place("x", 1))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], False),
        (["a"], True),
        ([""], False),
        ([X], None),
        (["-z", ""], True),
        (["-n", ""], False),
        (["-n", X], None),
        (["a", "=", "a"], True),
        (["a", "!=", "a"], False),
        (["2", "-lt", "10"], True),
        (["a", "-lt", "10"], None),
        (["-f", "/etc/passwd"], None),
        (["!", "-z", ""], False),
        (["-z", "", "-a", "-n", "x"], True),
        (["-f", "x", "&&", "-n", ""], False),
        (["-f", "x", "||", "-n", "y"], True),
        (["(", "a", "=", "b", ")"], False),
        (["a", "<", "b"], None),
    ],
)
def test_conditions(words: list[str], expected: bool | None) -> None:
    assert holds(words) is expected


def test_right_side_is_a_pattern_within_double_brackets_only() -> None:
    assert holds(["start", "==", "st*"], patterns=True) is True
    assert holds(["start", "=", "st*"]) is False


def test_three_values() -> None:
    assert both(None, False) is False
    assert both(None, True) is None
    assert negate(None) is None
