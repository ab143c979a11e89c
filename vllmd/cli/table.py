"""Rows in columns, for people."""

from collections.abc import Sequence

from vllmd.util.terminal_text import one_line


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return all cells, the header's first, each one line, filled up to its column's width."""
    lines = [list(header), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return [[cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines]


def join(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return "  ".join(cells).rstrip()
