"""``${…}`` and what is made of a value."""

import pytest

from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import substitute
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import as_written, is_unknown


def expand(text: str) -> list[str]:
    state = ShellState(Surroundings(home="/home/anna"), Notes(), "/srv/run.sh", "x", folder="/srv")
    state.variables |= {"A": "org/model-7b", "E": "", "N": "B", "B": "named"}
    state.variables["L"] = ["a", "b c", "d"]
    state.variables["T"] = {"x": "1", "y": "2"}
    state.arguments = ["one", "two words"]
    return Expansion(state, 1, substitute).words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", ["org/model-7b"]),
        ("${A##*/}", ["model-7b"]),
        ("${A%-*}", ["org/model"]),
        ("${A%%/*}", ["org"]),
        ("${A#org/}", ["model-7b"]),
        ("${A/-/_}", ["org/model_7b"]),
        ("${A//o/0}", ["0rg/m0del-7b"]),
        ("${A//[^o]/}", ["oo"]),
        ("${A/#o/0}", ["0rg/model-7b"]),
        ("${A/%b/B}", ["org/model-7B"]),
        ("${A/o*l/x}", ["x-7b"]),
        ("${A:0:3}", ["org"]),
        ("${A::3}", ["org"]),
        ("${A:10:}", []),
        ('"${L[@]::2}"', ["a", "b c"]),
        ("${A^^}", ["ORG/MODEL-7B"]),
        ("${#A}", ["12"]),
        ("${U:-x}", ["x"]),
        ("${E:-x}", ["x"]),
        ("${E-x}", []),
        ("${A:+--flag}", ["--flag"]),
        ("${U:+--flag}", []),
        ("${!N}", ["named"]),
        ("${L[1]}", ["b", "c"]),
        ('"${L[1]}"', ["b c"]),
        ('"${L[@]}"', ["a", "b c", "d"]),
        ('"${L[*]}"', ["a b c d"]),
        ("${#L[@]}", ["3"]),
        ('"${L[@]:1}"', ["b c", "d"]),
        ("${!L[@]}", ["0", "1", "2"]),
        ("${T[y]}", ["2"]),
        ("${!T[@]}", ["x", "y"]),
        ('"$@"', ["one", "two words"]),
        ("$2", ["two", "words"]),
        ("$#", ["2"]),
        ("$0", ["/srv/run.sh"]),
        ("$HOME", ["/home/anna"]),
        ("$PWD", ["/srv"]),
    ],
)
def test_forms(text: str, expected: list[str]) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize("text", ["$U", "${U}", "${U%x}", "${A@Q}", "$RANDOM", "$?", "${!U}", "$3"])
def test_what_is_not_known_is_a_mark_with_what_was_written(text: str) -> None:
    (word,) = expand(text)
    assert is_unknown(word)
    assert as_written(word).startswith("$")


@pytest.mark.parametrize("text", ["${A:}", "${@:}", "${@::1}", "${@:0:1}"])
def test_part_that_nothing_says_is_not_known(text: str) -> None:
    (value,) = expand(text)
    assert is_unknown(value), text
