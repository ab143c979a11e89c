"""The shell's whole numbers."""

import pytest

from vllmd.importing.shell.arithmetic import ArithmeticEvaluator, ArithmeticUnknownError


def value(text: str, **known: str) -> int:
    return ArithmeticEvaluator(text, lambda name: known.get(name, "0"), known.__setitem__).value()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("8000 + 2 * 3", 8006),
        ("(8000 + 2) * 3", 24006),
        ("base + i", 8002),
        ("$base+${i}", 8002),
        ("i == 2 && base > 1", 1),
        ("i < 2 || !base", 0),
        ("i % 2 ? 1 : 7", 7),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("0x10 + 010 + 2#11", 27),
        ("1 << 4 | 1", 17),
        ("x = 5, x * 2", 10),
        ("i++ + i", 5),
        ("++i", 3),
        ("i += 3", 5),
        ("~0", -1),
    ],
)
def test_expressions(text: str, expected: int) -> None:
    assert value(text, base="8000", i="2") == expected


@pytest.mark.parametrize(
    "text", ["x", "1 / 0", "2 ** 3", "1 +", "(1", "a b", "9#x9", "1 << 99", "€"]
)
def test_what_is_not_known_or_not_read_says_so(text: str) -> None:
    with pytest.raises(ArithmeticUnknownError):
        value(text, x="text")
