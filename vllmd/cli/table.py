"""Rows in columns, for people."""

from collections.abc import Sequence

from vllmd.util.terminal_text import one_line


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return all cells, the header's first, each one line, filled up to its column's width."""
    lines = [list(header), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return [[cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines]


def fitted(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: int | None,
    least_wanted: Sequence[str],
) -> list[list[str]]:
    """Return the cells of `format_table`, without the columns that a terminal has no room for.

    `least_wanted` are those that may be left out, the first one first; `columns` is None where any
    width will do.
    """
    table = format_table(header, rows)
    for title in least_wanted:
        if columns is None or max(len(join(line)) for line in table) <= columns:
            break
        at = list(header).index(title)
        header = [*header[:at], *header[at + 1 :]]
        rows = [[*row[:at], *row[at + 1 :]] for row in rows]
        table = format_table(header, rows)
    return table


def join(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return "  ".join(cells).rstrip()
