from vllmd.cli.table import format_table, join


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = format_table(["A", "LONG"], [["wide", "b"], ["c", "d"]])
    assert [join(line) for line in lines] == ["A     LONG", "wide  b", "c     d"]
