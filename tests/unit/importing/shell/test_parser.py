"""The commands that tokens make."""

import pytest

from vllmd.errors import VllmdError
from vllmd.importing.shell.parser import parse
from vllmd.importing.shell.syntax import (
    AndOr,
    Arithmetic,
    CaseClause,
    Condition,
    CountingFor,
    For,
    Function,
    Group,
    If,
    Node,
    Pipeline,
    Simple,
    While,
)
from vllmd.importing.unknown import Place


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a b", Simple),
        ("A=1 b", Simple),
        ("a | b", Pipeline),
        ("! a", Pipeline),
        ("a && b || c", AndOr),
        ("( a; b )", Group),
        ("{ a; } > log", Group),
        ("if a; then b; elif c; then d; else e; fi", If),
        ("case x in a|b) c ;; *) d ;; esac", CaseClause),
        ("for i in 1 2; do a; done", For),
        ("for ((i=0; i<2; i++)); do a; done", CountingFor),
        ("while a; do b; done", While),
        ("until a\ndo\nb\ndone", While),
        ("[[ a == b && -f c ]]", Condition),
        ("(( i++ ))", Arithmetic),
        ("f() { a; }", Function),
        ("function f { a; }", Function),
    ],
)
def test_each_form_is_read(text: str, kind: type[Node]) -> None:
    (command,) = parse(text, Place("x", 1)).commands
    assert isinstance(command, kind)


def test_background_and_redirections_are_kept() -> None:
    block = parse("a > x 2>&1 &\nb", Place("x", 1))
    first = block.commands[0]
    assert block.background == {0}
    assert isinstance(first, Simple)
    assert [(each.operator, each.target.text) for each in first.redirections] == [
        (">", "x"),
        ("2>&", "1"),
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("if a; then b", "x:1: 'fi' is expected, and 'the end' is there"),
        ("a\ndone", "x:2: 'done' is not expected here"),
        ("a ;; b", "is not expected here"),
        ("| a", "a command is missing before '|'"),
        ("a >", "a file is missing after '>'"),
        ("[[ a", "has no ']]'"),
    ],
)
def test_what_is_no_script_is_an_error_with_its_line(text: str, error: str) -> None:
    with pytest.raises(VllmdError) as raised:
        parse(text, Place("x", 1))
    assert error in str(raised.value)
