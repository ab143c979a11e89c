"""What is shown in front of the screen: a question before a command runs, and the keys."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen

from vllmd.cli import terminal
from vllmd.cli.screen.actions import Action, Done
from vllmd.cli.screen.lines import Lines, plain

WIDEST = 92
Told = tuple[str, str | None, bool]
"""A text, its colour, and whether it is bold."""
_CSS = """
{0} {{ align: center middle; }}
{0} > Lines {{ border: round ansi_cyan; padding: 0 1; height: auto; max-height: 90%; width: {1}; }}
"""
HELP = (
    ("arrows, PgDn", "move; Home and End too, and the mouse"),
    ("1 … 5, Tab", "the tabs"),
    ("Enter, Esc", "the engine's own screen, and back"),
    ("/", "only what has this word in it; Esc shows all again"),
    ("s", "sort by the next column"),
    ("l, w", "the engine's log; why it ended, as 'vllmd why'"),
    ("r, d, u", "restart, drain and stop, start it: shown as a command, and asked"),
    ("x", "kill orphans that hold GPU memory, as 'vllmd gpu reap'"),
    ("y", "copy what is chosen as JSON, by the terminal (OSC 52)"),
    ("p", "keep the picture as it is, and go on"),
    ("q, Ctrl-C", "leave; engines and vllmd go on"),
)


_KEYS = 17
_EMPTY: Told = ("", None, False)
_CLOSES: Told = ("Esc closes this", None, True)


class _Dialog(ModalScreen[bool]):
    """A box with lines, in the middle."""

    def __init__(self, lines: Sequence[Told]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Make the box."""
        yield Lines()

    def on_mount(self) -> None:
        """Fill it."""
        width = min(WIDEST, self.app.size.width - 2)
        box = self.query_one(Lines)
        box.styles.width = width
        if terminal.is_ascii_only():
            box.styles.border = ("ascii", "ansi_cyan")
        with terminal.of_width(max(20, width - 4)):
            box.show(plain(*self.wrapped()))

    def wrapped(self) -> Iterator[str]:
        """Yield the lines as broken for the box."""
        for text, colour, bold in self._lines:
            for line in terminal.wrap(text, rest="  "):
                yield terminal.style(line, fg=colour, bold=bold)

    def action_answer(self, said: bool) -> None:
        """Close it."""
        self.dismiss(said)

    def action_move(self, count: int) -> None:
        """Scroll, where there is no room for all."""
        self.query_one(Lines).move(count)


class Question(_Dialog):
    """Whether a command is to be run; only `y` runs it."""

    CSS = _CSS.format("Question", "80%")
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "yes"),
        ("n,escape,q,enter", "answer(False)", "no"),
    ]

    def __init__(self, action: Action) -> None:
        super().__init__(
            [
                (action.title.capitalize(), None, True),
                (action.note, None, False),
                _EMPTY,
                ("This is what runs:", None, False),
                (action.shown, "cyan", False),
                _EMPTY,
                ("y yes   n no", None, True),
            ]
        )


class Result(_Dialog):
    """What a command that failed has said."""

    CSS = _CSS.format("Result", "80%")
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,enter", "answer(False)", "close")]

    def __init__(self, action: Action, done: Done) -> None:
        said = done.output.split("\n") or ["it said nothing"]
        super().__init__(
            [
                (action.shown, "cyan", False),
                (f"ended with exit code {done.code}", "red", True),
                _EMPTY,
                *((line, None, False) for line in said),
                _EMPTY,
                _CLOSES,
            ]
        )


class Help(_Dialog):
    """The keys."""

    CSS = _CSS.format("Help", "80%")
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,enter,question_mark", "answer(False)", "close"),
        ("down,j", "move(1)", "down"),
        ("up,k", "move(-1)", "up"),
    ]

    def __init__(self, note: str) -> None:
        super().__init__([_EMPTY, (note, None, False), _CLOSES])

    def wrapped(self) -> Iterator[str]:
        """Yield a line for each key, and what the note says."""
        for key, text in HELP:
            first, *more = terminal.wrap(text, first=" " * _KEYS, rest=" " * _KEYS)
            yield f"{terminal.style(key.ljust(_KEYS), bold=True)}{first[_KEYS:]}"
            yield from more
        yield from super().wrapped()
