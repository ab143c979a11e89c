"""What is left in a table that is not known."""

from vllmd.importing.leftovers import refuse_unknowns, texts_in
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place, mark


def test_marks_and_variables_are_refused_where_they_stand() -> None:
    notes = Notes()
    place, elsewhere = Place("x", 1), Place("y", 7)
    texts = texts_in({"a": ["$M", {"b": mark("$N", "why", elsewhere)}], "c": "{% if $x %}", "d": 3})
    refuse_unknowns(texts, place, notes)
    assert [str(each).split(": ")[:2] for each in notes.problems] == [["x:1", "$M"], ["y:7", "$N"]]
