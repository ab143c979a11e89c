import pytest

from vllmd.cli import terminal
from vllmd.cli.screen.lines import Lines, Row, plain, text_of

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e\nforged\ttab"


def rows(count: int) -> list[Row]:
    return [Row((f"row {n}", "  more"), f"key {n}", n) for n in range(count)]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    made = Lines()
    monkeypatch.setattr(Lines, "_room", lambda _: 6)
    return made


def test_text_has_our_colours_and_obeys_nothing_else() -> None:
    text = text_of(terminal.style(f"ok {HOSTILE}", fg="red"))
    assert "\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\x9b31m\\u202e\\nforged" in text.plain
    assert text.plain.isprintable()
    assert text.spans


def test_first_row_is_chosen_and_stays_so_while_it_is_there(lines: Lines) -> None:
    lines.show(rows(3))
    lines.move(1)
    lines.show(list(reversed(rows(3))))
    assert lines.chosen is not None
    assert lines.chosen.data == 1


def test_no_other_row_is_chosen_where_the_chosen_one_is_gone(lines: Lines) -> None:
    lines.show(rows(3))
    lines.move(1)
    lines.show([rows(3)[0], rows(3)[2]])
    assert lines.chosen is None
    lines.show(rows(3))
    assert lines.chosen == rows(3)[1]


@pytest.mark.parametrize(("count", "data"), [(1, 0), (-1, 0), (9, 2)])
def test_move_where_the_chosen_row_is_gone_begins_at_the_first(
    lines: Lines, count: int, data: int
) -> None:
    lines.show(rows(4))
    lines.move(3)
    lines.show(rows(3))
    lines.move(count)
    assert lines.chosen == rows(3)[data]


def test_chosen_row_stays_in_sight(lines: Lines) -> None:
    lines.show(rows(10))
    lines.move(4)
    assert lines.position == "5-10 of 20"
    lines.to_edge(end=True)
    assert lines.position == "15-20 of 20"
    lines.to_edge(end=False)
    assert lines.position == "1-6 of 20"


def test_lines_that_are_only_read_are_scrolled(lines: Lines) -> None:
    lines.show(plain(*map(str, range(20))))
    lines.page(1)
    assert lines.position == "6-11 of 20"
    assert lines.chosen is None


def test_end_is_followed_until_one_goes_up(lines: Lines) -> None:
    lines.begin(follows=True)
    lines.show(plain(*map(str, range(20))))
    assert lines.position == "15-20 of 20"
    lines.show(plain(*map(str, range(30))))
    assert lines.position == "25-30 of 30"
    lines.move(-5)
    lines.show(plain(*map(str, range(40))))
    assert lines.position == "20-25 of 40"
    lines.to_edge(end=True)
    assert lines.at_end


def test_newest_row_that_can_be_chosen_is_followed(lines: Lines) -> None:
    lines.begin(follows=True)
    lines.show(rows(5))
    lines.show(rows(8))
    assert lines.chosen is not None
    assert lines.chosen.data == 7
