"""What the command line prints: every text goes through here, and none obeys what is in it."""

import io
import json
import os
import re
from typing import Any

import click

from vllmd.util.terminal_text import harmless, one_line

_OURS = os.urandom(8).hex()
"""Tells the colours that are ours from those that somebody printed: nobody can guess it."""
_CODE = re.compile(rf"\x1b{_OURS}(\[[0-9;]*m)")
_DELETE = "\x7f"
"""The one control character that JSON lets stand as it is."""


def style(text: str, fg: str | None = None, *, bold: bool = False) -> str:
    """Return a text with a colour, or bold; `echo` alone knows how to print it."""
    opening, closing = click.style("\0", fg=fg, bold=bold or None).split("\0")
    return f"{_ours(opening)}{text}{_ours(closing)}"


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line: our colours and tabs are as they are, other control characters are shown.

    So nothing that stands in a line begins one of its own, that looks like another message.
    """
    click.echo(_coloured(line).replace("\n", "\\n"), err=err)


def echo_text(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text of several lines in the same way."""
    click.echo(_coloured(text), err=err, nl=nl)


def echo_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON: its escapes say every control character."""
    click.echo(json.dumps(value, indent=indent).replace(_DELETE, "\\u007f"))


def show_error(error: click.ClickException) -> None:
    """Print what is wrong with a command line, as click does."""
    shown = io.StringIO()
    error.show(file=shown)
    click.echo(harmless(shown.getvalue()), err=True, nl=False)


def replace_line(text: str = "") -> None:
    """Show a text in place of the line that the cursor is in, on standard error."""
    click.echo(f"\r\x1b[K{one_line(text)}", err=True, nl=False)


def _coloured(text: str) -> str:
    parts = _CODE.split(text)
    shown = (f"\x1b{part}" if index % 2 else harmless(part) for index, part in enumerate(parts))
    return "".join(shown)


def _ours(codes: str) -> str:
    return codes.replace("\x1b", f"\x1b{_OURS}")
