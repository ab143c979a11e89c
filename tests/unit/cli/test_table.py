from vllmd.cli.table import fitted, format_table, join


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = format_table(["A", "LONG"], [["wide", "b"], ["c", "d"]])
    assert [join(line) for line in lines] == ["A     LONG", "wide  b", "c     d"]


def test_fitted_leaves_out_what_is_least_wanted_until_it_fits() -> None:
    header, rows = ["A", "B", "C"], [["aaaa", "bbbb", "cccc"]]
    assert fitted(header, rows, None, ["B"])[0] == ["A   ", "B   ", "C   "]
    assert fitted(header, rows, 16, ["B"])[0] == ["A   ", "B   ", "C   "]
    assert [join(line) for line in fitted(header, rows, 10, ["B", "A"])] == [
        "A     C",
        "aaaa  cccc",
    ]
    assert [join(line) for line in fitted(header, rows, 3, ["B", "A"])] == ["C", "cccc"]
