"""What the command line prints: every text goes through here, and none obeys what is in it.

It follows the terminal: no colours with NO_COLOR or TERM=dumb, ASCII where the locale is C or the
encoding has no more, and lines are broken at the terminal's width only, never in a pipe.
"""

import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import click

from vllmd.util.terminal_text import harmless, one_line

_OURS = os.urandom(8).hex()
"""Tells the colours that are ours from those that somebody printed: nobody can guess it."""
_CODE = re.compile(rf"\x1b{_OURS}(\[[0-9;]*m)")
_ASCII = str.maketrans(
    {
        **{
            "█": "#",
            "■": "=",
            "▓": "%",
            "▒": "+",
            "░": "-",
            "·": ".",
            "…": "...",
            "→": "->",
            "—": "-",
        },
        **{"▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "│": "|"},
        **{"“": '"', "”": '"', "°": "", "µ": "u"},
    }
)
"""What our own texts and bars are in ASCII; what others printed is escaped."""
_WRAP_OFF, _WRAP_ON, _ERASE_LINE = "\x1b[?7l", "\x1b[?7h", "\x1b[K"
"""Whether the terminal breaks long lines. Source: console_codes(4), DECAWM.

A line is erased before it is written: after a line of the full width the cursor is in its last
column, and would erase that.
"""
_COLUMNS: ContextVar[int | None] = ContextVar("_COLUMNS", default=None)
_DELETE = "\x7f"
"""The one control character that JSON lets stand as it is."""


def style(text: str, fg: str | None = None, *, bold: bool = False) -> str:
    """Return a text with a colour, or bold; `echo` alone knows how to print it."""
    opening, closing = click.style("\0", fg=fg, bold=bold or None).split("\0")
    return f"{_ours(opening)}{text}{_ours(closing)}"


def ansi(line: str) -> str:
    """Return one line as `echo` prints it: our colours as codes, and nothing else is obeyed."""
    return _encodable(_coloured(line).replace("\n", "\\n"), err=False)


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line: our colours and tabs are as they are, other control characters are shown.

    So nothing that stands in a line begins one of its own, that looks like another message.
    """
    _write(_coloured(line).replace("\n", "\\n"), err=err)


def echo_text(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of several lines in the same way."""
    _write(_coloured(text), err=err, nl=nl)


def echo_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON: its escapes say every control character."""
    click.echo(json.dumps(value, indent=indent).replace(_DELETE, "\\u007f"))


def show_error(error: click.ClickException) -> None:
    """Print what is wrong with a command line, as click does."""
    shown = io.StringIO()
    error.show(file=shown)
    for line in harmless(shown.getvalue()).splitlines():
        for part in wrap(line, rest="  "):
            echo(part, err=True)


def echo_error(text: str) -> None:
    """Print what went wrong, on standard error, broken where the terminal ends."""
    for line in text.split("\n"):
        for part in wrap(line, rest="  "):
            echo(part, err=True)


def replace_line(text: str = "") -> None:
    """Show a text in place of the line that the cursor is in, on standard error."""
    click.echo(f"\r\x1b[K{_encodable(one_line(text), err=True)}", err=True, nl=False)


def show_screen(lines: Sequence[str], *, whole: str) -> None:
    """Show lines in place of what the terminal shows.

    If it has no room for all, the last line says how many are missing, and that the command `whole`
    shows them. Written at once, and over what was there: nothing flickers. A line that is too long
    is cut: one that wraps would scroll the screen each time.
    """
    room = rows()
    if len(lines) > room:
        missing = len(lines) - room + 1
        lines = [*lines[: room - 1], f"… {missing} more lines; '{whole}' shows all"]
    shown = [_encodable(_coloured(line), err=False) for line in lines]
    if wants_no_colours():
        shown = [click.unstyle(line) for line in shown]
    text = "".join(f"{_ERASE_LINE}{line}\n" for line in shown)
    sys.stdout.write(f"{_WRAP_OFF}\x1b[H{text}\x1b[J{_WRAP_ON}")
    sys.stdout.flush()


def moves_cursor(*, err: bool = False) -> bool:
    """Tell whether a line, or the screen, can be replaced there by another one."""
    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def wants_no_colours(env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colours are not wanted, on a terminal too.

    Source: no-color.org: NO_COLOR, if not empty; terminfo(5): dumb.
    """
    return bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"


def is_ascii_only(env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the locale was set to one that has ASCII only.

    Where none is set, Python takes UTF-8, and so do we. Source: locale(7), for the order; PEP 538:
    Python sets LC_CTYPE itself, so that LANG tells more.
    """
    kind = env.get("LC_CTYPE", "")
    coerced = kind == "C.UTF-8"
    locale = env.get("LC_ALL") or ("" if coerced else kind) or env.get("LANG", "")
    return locale in ("C", "POSIX")


def width() -> int | None:
    """Return the columns of the terminal; None in a pipe or a file: there nothing is broken."""
    if (columns := _COLUMNS.get()) is not None:
        return columns
    return _size().columns if sys.stdout.isatty() else None


@contextmanager
def of_width(columns: int) -> Iterator[None]:
    """Have lines made for a part of a screen that is so wide."""
    before = _COLUMNS.set(columns)
    try:
        yield
    finally:
        _COLUMNS.reset(before)


def rows() -> int:
    """Return how many lines a screen has room for, above the one that the cursor is left in."""
    return max(2, _size().lines - 1)


def wrap(text: str, *, first: str = "", rest: str = "") -> list[str]:
    """Return a text in lines that the terminal has room for, with what is put before them.

    A word that is longer stays whole: paths and commands are copied.
    """
    columns = width()
    if columns is None:
        return [f"{first}{text}"]
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _write(text: str, *, err: bool, nl: bool = True) -> None:
    colours = False if wants_no_colours() else None
    click.echo(_encodable(text, err=err), err=err, nl=nl, color=colours)


def _encodable(text: str, *, err: bool) -> str:
    """Return a text as the locale and the stream's encoding can have it."""
    if text.isascii():
        return text
    if is_ascii_only():
        return text.translate(_ASCII).encode("ascii", "backslashreplace").decode()
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _coloured(text: str) -> str:
    parts = _CODE.split(text)
    shown = (f"\x1b{part}" if index % 2 else harmless(part) for index, part in enumerate(parts))
    return "".join(shown)


def _ours(codes: str) -> str:
    return codes.replace("\x1b", f"\x1b{_OURS}")


def _size() -> os.terminal_size:
    import shutil  # a command whose output is no terminal starts without

    return shutil.get_terminal_size()
