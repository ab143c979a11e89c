"""The widget that everything on the screen is made of: lines, of which some can be chosen.

It is drawn line by line, and what did not change is not drawn again: a screen that is looked at all
night costs next to nothing.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import attrs
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from vllmd.cli import terminal

_CONSOLE = Console(width=400)
_CHOSEN = Style(reverse=True)
KEPT_LINES = 4096
WHEEL = 3
"""Lines that one step of a mouse's wheel is worth."""


@attrs.frozen
class Row:
    """One thing: its lines, as `terminal` styles them. What has a key can be chosen."""

    lines: tuple[str, ...]
    key: str | None = None
    data: Any = None
    """What is copied of it."""
    marked: int | None = None
    """How many of its first line's columns are marked where it is chosen; all if that is None."""


def plain(*lines: str) -> list[Row]:
    """Return lines that can only be read."""
    return [Row((line,)) for line in lines]


@lru_cache(KEPT_LINES)
def text_of(line: str) -> Text:
    """Return a line with our colours, in which nothing else does anything but show."""
    return Text.from_ansi(terminal.ansi(line).expandtabs(), no_wrap=True, end="")


@lru_cache(KEPT_LINES)
def _strip(line: str, width: int, marked: int) -> Strip:
    parts = text_of(line).render(_CONSOLE)  # textual's filters want a style for each
    styled = [Segment(part.text, part.style or Style.null()) for part in parts]
    strip = Strip(styled).adjust_cell_length(width, Style.null())
    if not marked:
        return strip
    head, tail = strip.crop(0, marked), strip.crop(marked)
    return Strip.join([head.apply_style(_CHOSEN), tail])


class Lines(Widget):
    """Shows rows below a header that stays, and moves in them."""

    DEFAULT_CSS = "Lines { height: 1fr; }"

    class Opened(Message):
        """A chosen row was clicked on."""

    class Clicked(Message):
        """A place was clicked on: a column and a line, from 0 on."""

        def __init__(self, sender: "Lines", column: int, line: int) -> None:
            super().__init__()
            self.sender = sender
            self.column = column
            self.line = line

    def __init__(self, *, id: str | None = None, follows: bool = False) -> None:
        super().__init__(id=id)
        self._header: tuple[str, ...] = ()
        self._rows: Sequence[Row] = ()
        self._flat: list[tuple[str, int]] = []
        self._first = 0
        self._chosen: str | None = None
        self._at_end = follows
        self._follows = follows
        self._drawn: list[tuple[str, int]] = []

    # --- what is shown ---------------------------------------------------------------------------

    def show(self, rows: Sequence[Row], header: Sequence[str] = ()) -> None:
        """Show these rows; what was chosen stays chosen, and nothing else is where it is gone.

        A key must not be about another row than the one that a person chose.
        """
        before = len(self._flat) + len(self._header)
        self._rows, self._header = rows, tuple(header)
        self._flat = [(line, n) for n, row in enumerate(rows) for line in row.lines]
        keys = self._keys()
        if keys and self._at_end:
            self._chosen = keys[-1]
        elif self._chosen is None:
            self._chosen = keys[0] if keys else None
        self._settle()
        if before != len(self._flat) + len(self._header):
            self.refresh(layout=True)

    @property
    def chosen(self) -> Row | None:
        """The row that is chosen."""
        return next((row for row in self._rows if row.key and row.key == self._chosen), None)

    @property
    def position(self) -> str:
        """Which lines are shown, such as ``1-20 of 96``; nothing where all are."""
        room = self._room()
        if len(self._flat) <= room:
            return ""
        return f"{self._first + 1}-{min(len(self._flat), self._first + room)} of {len(self._flat)}"

    @property
    def follows(self) -> bool:
        """Whether it follows its end once that is in sight."""
        return self._follows

    @property
    def at_end(self) -> bool:
        """Whether the end is followed."""
        return self._at_end

    def text(self) -> str:
        """Return all of it without colours, as a person reads it."""
        lines = [*self._header, *(line for line, _ in self._flat)]
        return "\n".join(text_of(line).plain for line in lines)

    def begin(self, *, follows: bool) -> None:
        """Begin at the first row, or at the last where the end is to be followed."""
        self._first, self._chosen = 0, None
        self._at_end = self._follows = follows

    def choose(self, key: str) -> None:
        """Choose the row of a key, and go to it."""
        self._chosen = key
        self._settle()

    # --- moving ----------------------------------------------------------------------------------

    def move(self, count: int) -> None:
        """Go so many rows on, or lines where no row can be chosen."""
        keys = self._keys()
        if not keys:
            self._scroll(count)
            return
        before_first = -1 if count > 0 else 0
        at = keys.index(self._chosen) if self._chosen in keys else before_first
        self._chosen = keys[max(0, min(len(keys) - 1, at + count))]
        self._at_end = self._follows and self._chosen == keys[-1]
        self._settle()

    def page(self, count: int) -> None:
        """Go so many screens on."""
        self.move(count * max(1, self._room() - 1))

    def to_edge(self, *, end: bool) -> None:
        """Go to the first or the last row."""
        self._first = 0
        self.move(len(self._flat) if end else -len(self._flat))

    def _scroll(self, count: int) -> None:
        self._first = max(0, min(self._last_first(), self._first + count))
        self._at_end = self._follows and self._first == self._last_first()
        self._settle()

    def _keys(self) -> list[str]:
        return [row.key for row in self._rows if row.key]

    def _room(self) -> int:
        return max(1, self.size.height - len(self._header))

    def _last_first(self) -> int:
        return max(0, len(self._flat) - self._room())

    def _settle(self) -> None:
        """Keep what is chosen in sight, and draw if anything is another than before."""
        if self._at_end:
            self._first = self._last_first()
        places = [n for n, (_, row) in enumerate(self._flat) if self._is_chosen(row)]
        if places:
            self._first = min(self._first, places[0])
            self._first = max(
                self._first, min(places[-1], places[0] + self._room() - 1) - self._room() + 1
            )
        self._first = max(0, min(self._first, self._last_first()))
        self._draw()

    def _draw(self) -> None:
        """Have what changed drawn, line by line: over SSH too that is little."""
        width, before = self.size.width, self._drawn
        self._drawn = [self._line(y) for y in range(self.size.height)]
        if len(before) != len(self._drawn):
            self.refresh()
            return
        pairs = enumerate(zip(before, self._drawn, strict=True))
        if changed := [Region(0, y, width, 1) for y, (old, new) in pairs if old != new]:
            self.refresh(*changed)

    def _line(self, y: int) -> tuple[str, int]:
        """Return a line of what is in sight, and how many columns of it are marked; -1 for all."""
        if y < len(self._header):
            return self._header[y], 0
        place = y - len(self._header) + self._first
        if place >= len(self._flat):
            return "", 0
        line, row = self._flat[place]
        head = place == 0 or self._flat[place - 1][1] != row
        marked = head and self._is_chosen(row)
        return line, (self._rows[row].marked or -1) if marked else 0

    def _is_chosen(self, row: int) -> bool:
        key = self._rows[row].key
        return key is not None and key == self._chosen

    # --- what textual calls ----------------------------------------------------------------------

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are, where the height is `auto`."""
        return len(self._header) + len(self._flat)

    def render_line(self, y: int) -> Strip:
        """Return one line of what is in sight."""
        line, marked = self._line(y)
        width = self.size.width
        return _strip(line, width, min(width, marked) if marked >= 0 else width)

    def on_resize(self) -> None:
        """Keep the chosen row in sight."""
        self._settle()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        self.move(1 if self._keys() else WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        self.move(-1 if self._keys() else -WHEEL)

    def on_click(self, event: Click) -> None:
        """Choose what is clicked on; open it if it was chosen already."""
        self.post_message(self.Clicked(self, event.x, event.y))
        place = event.y - len(self._header) + self._first
        if event.y < len(self._header) or place >= len(self._flat):
            return
        key = self._rows[self._flat[place][1]].key
        if key is None:
            return
        if key == self._chosen:
            self.post_message(self.Opened())
        self.choose(key)
