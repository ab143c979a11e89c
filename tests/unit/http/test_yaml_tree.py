import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllmd.config.problem import ConfigProblem
from vllmd.http.yaml_tree import YamlError, YamlTree, parse


def value_of(text: str, kind: str) -> tuple[object, list[str]]:
    problems: list[ConfigProblem] = []
    tree = YamlTree(problems)
    node = tree.mapping(parse(f"key: {text}"), "")["key"]
    return getattr(tree, kind)(node, "key"), [problem.message for problem in problems]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "plain", "plain"),
        ("text", "1", "1"),
        ("text", "yes", "yes"),
        ("text", "'#1: \"x\"'", '#1: "x"'),
        ("text", "~", ""),
        ("texts", "[a, 1]", ("a", "1")),
        ("texts", "", ()),
        ("boolean", "yes", True),
        ("boolean", "off", False),
        ("boolean", "TRUE", True),
        ("boolean", "null", None),
        ("integer", "10", 10),
        ("duration", "0", 0.0),
        ("duration", "1s", 1.0),
        ("duration", "1m30.5s", 90.5),
        ("duration", "100ms", 0.1),
    ],
)
def test_value_of_a_kind_is_read_as_go_reads_it(kind: str, text: str, value: object) -> None:
    assert value_of(text, kind) == (value, [])


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("text", "[a]", "is not a text"),
        ("text", "!!binary YQ==", "is not a text"),
        ("texts", "a", "is not a list"),
        ("boolean", "'true'", "is neither true nor false"),
        ("boolean", "1", "is neither true nor false"),
        ("integer", "1.5", "is not a whole number"),
        ("integer", "[]", "is not a whole number"),
        ("duration", "5", "is not a duration"),
        ("duration", "-1s", "is not a duration"),
        ("duration", "1 s", "is not a duration"),
        ("duration", "{}", "is not a duration"),
    ],
)
def test_value_of_another_kind_is_noted(kind: str, text: str, message: str) -> None:
    assert value_of(text, kind)[1] == [message]


def test_mapping_notes_unknown_and_repeated_keys_with_their_lines() -> None:
    problems: list[ConfigProblem] = []
    root = parse("one: 1\ntwo: 2\none: 3\n? [a]\n: 4\ntre: 5\n")
    found = YamlTree(problems).mapping(root, "top", ("one", "two", "three"))
    assert list(found) == ["one", "two"]
    assert [(p.line, p.key, p.message, p.fix) for p in problems] == [
        (3, "top.one", "is given twice", "keep one of them"),
        (4, "top", "has a key that is not a word", "write one 'key: value' a line"),
        (6, "top.tre", "is not a known key", 'did you mean "three"?'),
    ]


def test_mapping_of_nothing_is_empty_and_of_a_list_is_noted() -> None:
    problems: list[ConfigProblem] = []
    assert YamlTree(problems).mapping(parse(""), "") == {}
    assert YamlTree(problems).mapping(parse("# nothing\n"), "") == {}
    assert problems == []
    assert YamlTree(problems).mapping(parse("- a"), "") == {}
    assert problems[0].message == "is not a table of keys"


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("a: [b", "expected ',' or ']'", 1),
        ("a: b\n\tc: d", "found character '\\t'", 2),
        ("a: *b", "found undefined alias 'b'", 1),
        ("a: b\n---\nc: d", "it has more than one document", 2),
        ("[" * 1000, "it is nested too deeply", None),
        ('"\\UFFFFFFFF"', "something in it cannot be read: ", None),
        ("\0", "unacceptable character", None),
    ],
)
def test_parse_text_that_is_no_yaml_says_why_and_where(
    text: str, reason: str, line: int | None
) -> None:
    with pytest.raises(YamlError, match=re.escape(reason)) as caught:
        parse(text)
    assert caught.value.line == line


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,~<\\\t\n 0x\0é", max_size=60))
def test_parse_of_any_text_returns_or_says_why(text: str) -> None:
    with contextlib.suppress(YamlError):
        parse(text)
