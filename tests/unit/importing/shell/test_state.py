"""What a script knows, along two ways."""

import pytest

from vllmd.importing.shell.script import launches_of
from vllmd.importing.shell.state import ShellState
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place, is_unknown


def state(**variables: str) -> ShellState:
    made = ShellState(Surroundings(), Notes(), "", "x")
    made.variables |= variables
    return made


def test_copy_changes_by_itself() -> None:
    one = state(A="1")
    other = one.copy()
    other.assign("A", "2")
    other.exported.add("A")
    assert one.variables == {"A": "1"}
    assert not one.exported


def test_merge_keeps_what_is_the_same_and_marks_the_rest() -> None:
    one, other, into = state(A="1", B="1"), state(A="1", B="2"), state()
    into.merge([one, other], "the 'if'", 7)
    assert into.variables["A"] == "1"
    assert "line 7" in str(into.variables["B"])
    assert is_unknown(str(into.variables["B"]))


def test_environment_has_what_is_exported_and_a_text() -> None:
    one = state(A="1", B="2")
    one.variables["C"] = ["a", "b"]
    one.exported |= {"A", "C", "D"}
    assert one.environment() == {"A": "1"}


def test_set_a_exports_what_is_assigned_from_then_on() -> None:
    one = state()
    one.exports_all = True
    one.assign("A", "1")
    assert one.environment() == {"A": "1"}


@pytest.mark.long
@pytest.mark.parametrize(
    "script",
    [
        "a=1; for ((;;)); do a=$a$a; done",
        "a=1; for ((;;)); do a+=$a; done",
        "a=(1); for ((;;)); do a=(${a[@]} ${a[@]}); done",
    ],
)
def test_variable_that_is_doubled_without_end_is_refused(script: str) -> None:
    with pytest.raises(ValueError, match=r"\$a grows beyond 8 MiB, or 65536 values"):
        launches_of(script, Place("x", 1), Surroundings(), Notes())
