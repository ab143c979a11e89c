"""Tokens with their lines."""

import pytest

from vllmd.errors import VllmdError
from vllmd.importing.shell.lexer import tokens_of
from vllmd.importing.unknown import Place


def words(text: str) -> list[tuple[str, int]]:
    found = tokens_of(text, Place("x", 1))
    return [(token.text, token.line) for token in found if token.kind != "newline"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 'b c' \"d e\"", ["a", "'b c'", '"d e"']),
        ("a \\\n  b # comment", ["a", "b"]),
        ("x=$(a 'b)' ) y", ["x=$(a 'b)' )", "y"]),
        ("a=(1 2)\nb", ["a=(1 2)", "b"]),
        ("a>log 2>&1&", ["a", ">", "log", "2>&", "1", "&"]),
        ("a&&b||c;d|e", ["a", "&&", "b", "||", "c", ";", "d", "|", "e"]),
        ("echo a#b \"it's\" ${x:-'}'}", ["echo", "a#b", '"it\'s"', "${x:-'}'}"]),
        ("cat <(a b) c", ["cat", "<(a b)", "c"]),
    ],
)
def test_text_becomes_words_and_operators(text: str, expected: list[str]) -> None:
    assert [word for word, _ in words(text)] == expected


def test_lines_are_counted_over_joined_lines_and_here_documents() -> None:
    assert words("a \\\n b\ncat <<E\n1\n2\nE\nlast") == [
        *(("a", 1), ("b", 2), ("cat", 3), ("<<", 3), ("E", 3), ("last", 7))
    ]


def test_here_document_has_its_text_and_says_whether_it_is_literal() -> None:
    plain, quoted = (
        next(token for token in tokens_of(text, Place("x", 1)) if token.kind == "redirection")
        for text in ("cat <<E\n$a\nE\n", "cat <<-'E'\n\t$a\n\tE\n")
    )
    assert (plain.body, plain.literal) == ("$a\n", False)
    assert (quoted.body, quoted.literal) == ("$a\n", True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a\nb 'c", "x:2: the quote ' has no end"),
        ('"', 'x:1: the quote " has no end'),
        ("$(a", "x:1: '\\(' has no '\\)'"),
        ("cat <<E\na\n", "x:1: the here-document has no line 'E'"),
    ],
)
def test_what_has_no_end_is_an_error_with_its_line(text: str, error: str) -> None:
    with pytest.raises(VllmdError, match=error):
        list(tokens_of(text, Place("x", 1)))
