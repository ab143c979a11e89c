"""``$(…)`` of what only handles texts."""

import pytest

from vllmd.importing.shell.parser import parse
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import given_by, substitute
from vllmd.importing.shell.syntax import Function
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import is_unknown


def printed(text: str) -> str:
    state = ShellState(Surroundings(), Notes(), "/srv/app/run.sh", "x", folder="/srv/app")
    state.written["/srv/app/port"] = "8001\n"
    state.variables["M"] = "org/model"
    return substitute(state, text, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pwd", "/srv/app"),
        ('dirname "$0"', "/srv/app"),
        ('cd "$(dirname "$0")/.." && pwd', "/srv"),
        ("cd .. >/dev/null 2>&1 && pwd", "/srv"),
        ("basename $M", "model"),
        ("basename a.yaml .yaml", "a"),
        ("realpath ./x", "/srv/app/x"),
        ("readlink -f ../y", "/srv/y"),
        ("echo -n $M", "org/model"),
        ("printf '%s-%s' a b", "a-b"),
        ("seq 0 2", "0\n1\n2"),
        ("seq 3", "1\n2\n3"),
        ("cat port", "8001"),
        ("< port", "8001"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert printed(text) == expected


def test_server_within_is_refused_and_a_look_for_one_is_not() -> None:
    for text, problems in (("vllm serve m & echo $!", 1), ("pgrep -f 'vllm serve'", 0)):
        notes = Notes()
        substitute(ShellState(Surroundings(), notes, "", "x"), text, 3)
        assert len(notes.problems) == problems


@pytest.mark.parametrize(
    "text",
    [
        "nvidia-smi -L",
        "cat /etc/passwd",
        "date +%F",
        "echo a | wc",
        "echo a | sha1sum",
        "date | wc -l",
        "'",
        "seq 1 99999",
    ],
)
def test_what_must_be_run_is_not_known(text: str) -> None:
    assert is_unknown(printed(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo 0,1,2 | tr ',' '\\n' | wc -l", "3"),
        ("expr 8000 + 3", "8003"),
        ("seq -s, 0 2", "0,1,2"),
        ("seq -s ' ' 2", "1 2"),
        ("cut -d: -f1 <<< a:b", "a"),
        ("expr 2 '*' 3", "6"),
        ("echo a,b 2> /dev/null | cut -d, -f2", "b"),
    ],
)
def test_filters_and_numbers_of_what_is_known_are_worked_out(text: str, expected: str) -> None:
    assert printed(text) == expected


@pytest.mark.parametrize("text", ["expr a : b", "expr 1 / 0", "FOO=1 echo a | cat > x"])
def test_other_forms_of_them_are_not_known(text: str) -> None:
    assert is_unknown(printed(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IFS=,; echo ${A[*]}", "1 2"),
        ('IFS=,; echo "${A[*]}"', "1,2"),
        ('join "${A[@]}"', "1,2"),
        ("echo a; echo b", "a\nb"),
    ],
)
def test_several_commands_and_functions_that_only_handle_texts(text: str, expected: str) -> None:
    state = ShellState(Surroundings(), Notes(), "", "x")
    state.variables["A"] = ["1", "2"]
    (function,) = parse('join() { local IFS=,; echo "$*"; }', state.place(1)).commands
    assert isinstance(function, Function)
    state.functions["join"] = function.body
    assert substitute(state, text, 1) == expected
    assert "IFS" not in state.variables


@pytest.mark.parametrize("text", ["X=1; date", "f() { echo a; }; f", "A=(1); echo $A"])
def test_commands_that_do_more_are_not_known(text: str) -> None:
    assert is_unknown(printed(text))


@pytest.mark.parametrize(("word", "given"), [("<()", ""), ("<(echo a)", "a\n"), ("<(a; b)", None)])
def test_what_stands_for_a_file_may_be_of_no_command(word: str, given: str | None) -> None:
    assert given_by(ShellState(Surroundings(), Notes(), "", "x"), word, 1) == given
