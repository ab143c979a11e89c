from vllmd.config.lines import find_line, parse_error_line, parse_lines

SOURCE = """\
[daemon]
listen = ":1"

[engines."a"]  # a comment
model = "x"
lora.max_loras = 3
env = { A = "b" }
"""


def test_parse_lines_finds_tables_and_dotted_keys() -> None:
    lines = parse_lines(SOURCE)
    assert lines["daemon", "listen"] == 2
    assert lines["engines", "a"] == 4
    assert lines["engines", "a", "lora", "max_loras"] == 6


def test_find_line_inside_an_inline_table_gives_its_key() -> None:
    assert find_line(parse_lines(SOURCE), ("engines", "a", "env", "A")) == 7


def test_find_line_unknown_place_is_none() -> None:
    assert find_line({}, ("x", "y")) is None


def test_parse_error_line_reads_tomllib_words() -> None:
    assert parse_error_line(ValueError("Invalid value (at line 3, column 5)")) == 3
    assert parse_error_line(ValueError("at end of document")) is None
