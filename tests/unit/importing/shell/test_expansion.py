"""Words, with their quotes worked out."""

import time

import pytest

from vllmd.importing.shell.expansion import Expansion, braces
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import substitute
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import is_unknown


def expansion() -> Expansion:
    state = ShellState(Surroundings(home="/home/anna"), Notes(), "", "x")
    state.variables |= {"A": "a b", "N": "3", "E": ""}
    return Expansion(state, 1, substitute)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a'b'\"c\"", ["abc"]),
        ("$A", ["a", "b"]),
        ('"$A"', ["a b"]),
        ("--x=$A", ["--x=a", "b"]),
        ("'$A'", ["$A"]),
        ("\\$A", ["$A"]),
        ('"\\$A\\n"', ["$A\\n"]),
        ("$E", []),
        ('""', [""]),
        ('"$E"', [""]),
        ("$'a\\tb'", ["a\tb"]),
        ("$((N + 1))", ["4"]),
        ("{1..3}", ["1", "2", "3"]),
        ("{08..10..2}", ["08", "10"]),
        ("x{a,b}y", ["xay", "xby"]),
        ('\'{"a": 1, "b": 2}\'', ['{"a": 1, "b": 2}']),
        ("~/m", ["/home/anna/m"]),
        ("~x/m", ["~x/m"]),
        ('["*"]', ["[*]"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert expansion().words(text) == expected


def test_pattern_of_files_is_not_known() -> None:
    (word,) = expansion().words("/srv/models/*.gguf")
    assert is_unknown(word)


def test_here_document_keeps_its_quotes() -> None:
    assert expansion().document('model: "$A"\nit\'s $N\n') == 'model: "a b"\nit\'s 3\n'


def test_braces_of_a_word_that_is_nothing_else_are_left_at_once() -> None:
    """Found by `make fuzz`: a word of 4,000 braces took a second, one of 60,000 four minutes."""
    word = "{" * 200_000
    began = time.process_time()
    assert braces(word) == [word]
    assert braces("{a,b}" + "{" * 50)[:2] == ["a" + "{" * 50, "b" + "{" * 50]
    assert time.process_time() - began < 1


def test_braces_are_bounded() -> None:
    assert len(braces("{1..99999999}")) == 4096
    assert len(braces("{1..999}" * 5)) == 4096
    assert len(braces("{a,b}" * 100)) == 4096


@pytest.mark.parametrize(
    ("separators", "value", "words"),
    [
        (",", "a,b c", ["a", "b c"]),
        (", ", "a , b c", ["a", "b", "c"]),
        (":\n", "a:b\nc d", ["a", "b", "c d"]),
        ("", "a b", ["a b"]),
    ],
)
def test_words_are_parted_as_ifs_says(separators: str, value: str, words: list[str]) -> None:
    state = ShellState(Surroundings(), Notes(), "", "x")
    state.variables |= {"IFS": separators, "V": value}
    assert Expansion(state, 1, substitute).words("$V") == words


def test_arrays_are_joined_by_the_first_separator() -> None:
    state = ShellState(Surroundings(), Notes(), "", "x")
    state.variables |= {"IFS": ",;", "A": ["1", "2"]}
    assert Expansion(state, 1, substitute).words('"${A[*]}"') == ["1,2"]
