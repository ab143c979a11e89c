"""Variables that a script sets."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.shell.assignments import assign, assigned, export
from vllmd.importing.shell.parser import parse
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.syntax import Simple, Word
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place


def state(files: dict[str, str] | None = None) -> ShellState:
    return ShellState(Surroundings(GivenFiles(files or {}), "/srv"), Notes(), "", "x")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["A=1", "A+=2"], "12"),
        (["A=(1 2)", "A+=(3)"], ["1", "2", "3"]),
        (["A=(1 2)", "A[1]=x", "A[2]=y"], ["1", "x", "y"]),
        (["A=([k]=v [l]='w x')"], {"k": "v", "l": "w x"}),
        (["A=(1 # one\n2)"], ["1", "2"]),
    ],
)
def test_assignments(words: list[str], value: object) -> None:
    one = state()
    for word in words:
        assign(Word(word, 1), one)
    assert one.variables["A"] == value


def exported(text: str, files: dict[str, str] | None = None) -> ShellState:
    one = state(files)
    (node,) = parse(text, Place("x", 1)).commands
    assert isinstance(node, Simple)
    export(node, [word.text for word in node.words], one)
    return one


def test_export_and_its_like() -> None:
    assert exported("export A=1 B").exported == {"A", "B"}
    assert exported("declare -x A=1").environment() == {"A": "1"}
    assert exported("local A=1").exported == set()
    assert exported("declare -A A").variables == {"A": {}}
    assert assigned(Word("A=1=2", 1), state()) == ("A", "1=2")


def test_variables_of_a_file_are_exported_or_refused() -> None:
    text = "export $(grep -v '^#' .env | xargs)"
    assert exported(text, {"/srv/.env": "# x\nA=1\n"}).environment() == {"A": "1"}
    (problem,) = exported(text).notes.problems
    assert "which variables these are is not known here" in problem.text
