"""Which commands of a script are reached, with which values."""

from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.interpreter import Interpreter
from vllmd.importing.shell.parser import parse
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import substitute
from vllmd.importing.shell.syntax import Simple
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place, as_written


def reached(text: str, **variables: str) -> list[str]:
    """Return the words of each command that is reached."""
    found: list[str] = []

    def simple(_interpreter: Interpreter, node: Simple, state: ShellState) -> bool | None:
        expansion = Expansion(state, node.line, substitute)
        for each in node.assignments:
            name, _, value = each.text.partition("=")
            state.assign(name, expansion.text(value))
        words = [word for each in node.words for word in expansion.words(each.text)]
        if words[:1] == ["exit"]:
            state.ended = True
        elif words:
            found.append(as_written(" ".join(words)))
        return {"true": True, "false": False}.get(words[0] if words else "true")

    state = ShellState(Surroundings(), Notes(), "", "x")
    state.variables |= variables
    Interpreter(simple).run(parse(text, Place("x", 1)), state)
    return found


def test_conditions_that_are_known_choose_one_way() -> None:
    assert reached("if [[ $M == prod ]]; then a; else b; fi", M="prod") == ["a"]
    assert reached("case $M in d*) a;; p*) b;; esac", M="prod") == ["b"]
    assert reached("true && a; false && b; false || c; true || d") == [
        *("true", "a", "false", "false", "c", "true")
    ]


def test_variables_that_depend_on_an_unknown_condition_are_not_known() -> None:
    assert reached("M=1\nif probe; then M=2; fi\nuse $M")[-1] == "use $M"
    assert reached("M=1\nif probe; then exit; fi\nuse $M")[-1] == "use 1"


def test_loops_are_written_out() -> None:
    assert reached("for i in {0..2}; do a $i; done") == ["a 0", "a 1", "a 2"]
    assert reached("for ((i=0;i<2;i++)); do a $i; done") == ["a 0", "a 1"]
    assert reached("i=0; while [[ $i -lt 2 ]]; do a $i; i=$((i+1)); done") == ["a 0", "a 1"]
    assert reached("while true; do a; done") == ["true", "a"]


def test_loop_without_an_end_is_bounded() -> None:
    assert len(reached("for ((;;)); do a; done")) == 256


def test_subshell_changes_nothing_outside_and_functions_have_arguments() -> None:
    assert reached("M=1; (M=2); use $M") == ["use 1"]
    assert reached("{ M=2; }; use $M") == ["use 2"]
