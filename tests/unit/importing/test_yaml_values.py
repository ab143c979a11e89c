"""YAML with lines, anchors and merge keys."""

import pytest

from vllmd.errors import VllmdError
from vllmd.importing.yaml_values import Table, documents, items_in, table_in, text_of


def one(text: str) -> Table:
    (found,) = documents(text, "x")
    assert isinstance(found, Table)
    return found


def test_values_know_their_line_and_kind() -> None:
    table = one("a: 1\nb:\n  - x\n  - 'null'\nc: null\nd: yes\n")
    assert table.lines == {"a": 1, "b": 2, "c": 5, "d": 6}
    assert [each.kind for each in (table["a"], table["b"][1], table["c"])] == ["int", "str", "null"]
    assert text_of(table["c"]) is None
    assert text_of(table["d"]) == "yes"


def test_anchors_and_merge_keys_are_followed() -> None:
    table = one("x: &x\n  a: 1\n  b: 2\ny:\n  <<: *x\n  b: 3\nz:\n  <<: [*x, {c: 4}]\n")
    assert table["y"] == {"b": "3", "a": "1"}
    assert table["z"] == {"a": "1", "b": "2", "c": "4"}


def test_several_documents_and_paths() -> None:
    first, second = documents("a: {b: [1]}\n---\nc: 2\n", "x")
    assert items_in(first, "a", "b") == ["1"]
    assert table_in(second, "c", "d") == {}
    assert items_in(second, "c") == []


@pytest.mark.parametrize(
    ("text", "error"),
    [("a: [1", "x:1: it is no YAML"), ("a: b: c", "x:1: it is no YAML"), ("\ta: 1", "x:1")],
)
def test_what_is_no_yaml_is_an_error_with_its_line(text: str, error: str) -> None:
    with pytest.raises(VllmdError, match=error):
        documents(text, "x")


@pytest.mark.long
def test_aliases_of_aliases_are_bounded() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    with pytest.raises(VllmdError, match="aliases"):
        documents(bomb, "x")
