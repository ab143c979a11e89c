"""Marks stay in texts until somebody asks."""

from vllmd.importing.unknown import Place, as_written, is_unknown, mark, unknowns, words_of

PLACE = Place("run.sh", 7)


def test_mark_says_what_was_written_why_and_where() -> None:
    text = f"--port={mark('$PORT', 'it is set nowhere', PLACE)}"
    assert is_unknown(text)
    assert as_written(text) == "--port=$PORT"
    assert [str(each) for each in unknowns([text, text])] == ["run.sh:7: $PORT: it is set nowhere"]


def test_mark_within_a_mark_is_flat() -> None:
    inner = mark("$A", "why", PLACE)
    assert as_written(mark(f"$(({inner}+1))", "why", PLACE)) == "$(($A+1))"


def test_text_without_a_mark_is_known() -> None:
    assert not is_unknown("$A")
    assert unknowns(["a"]) == []


def test_words_are_split_around_marks() -> None:
    one = mark("$A", "a 'b", PLACE)
    assert words_of(f"x '{one} y' --p={one}") == ["x", f"{one} y", f"--p={one}"]


def test_mark_stays_whole_where_texts_are_cut() -> None:
    text = mark("${A:=b}", "set it: A=b, or /c", PLACE)
    for char in "=:,/":
        assert char not in text
    assert str(unknowns([text])[0]) == "run.sh:7: ${A:=b}: set it: A=b, or /c"
