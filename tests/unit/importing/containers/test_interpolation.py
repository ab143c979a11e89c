"""Variables of compose files."""

import pytest

from vllmd.importing.containers.interpolation import Interpolation
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place, as_written, is_unknown
from vllmd.importing.yaml_values import documents

PLACE = Place("x", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"),
        ("$$A", "$A"),
        ("${NO:-x}", "x"),
        ("${E:-x}", "x"),
        ("${E-x}", ""),
        ("${NO:-${A}}", "1"),
        ("${A:+y}", "y"),
        ("${NO:+y}", ""),
        ("5$", "5$"),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert Interpolation({"A": "1", "E": ""}, "x", Notes()).text(text, PLACE) == expected


def test_what_is_not_set_is_a_mark_and_a_default_is_said() -> None:
    notes = Notes()
    given = Interpolation({}, "x", notes)
    text = given.text("--port ${PORT:?needed}", PLACE)
    assert is_unknown(text)
    assert as_written(text) == "--port $PORT"
    given.text("${LEN:-8}", PLACE)
    assert notes.remarks == ["x:1: the variable LEN is not set: its default '8' is taken"]


def test_values_keep_their_lines() -> None:
    (table,) = documents("a:\n  - $X\n", "x")
    made = Interpolation({"X": "1"}, "x", Notes()).value(table)
    assert made == {"a": ["1"]}
