"""The shell's patterns."""

import pytest

from vllmd.importing.shell.patterns import expression_of, matches


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a*", "abc", True),
        ("a?c", "abc", True),
        ("[ab]", "b", True),
        ("[!ab]", "b", False),
        ("[^ab]", "c", True),
        ("[0-9]*", "7b", True),
        ("[]]", "]", True),
        ("[", "[", True),
        ("[z-a]", "[z-a]", True),
        ("a.c", "abc", False),
        ("*", "a\nb", True),
        ("********** ", "x", False),
    ],
)
def test_pattern(pattern: str, text: str, *, fits: bool) -> None:
    assert matches(text, pattern) is fits


def test_many_stars_are_taken_as_they_are_written() -> None:
    assert expression_of("*" * 9) == "\\*" * 9
