"""`vllmd runbook`: what to do about an alert, on the host that it is about."""

import click

from vllmd.cli import terminal
from vllmd.cli.options import json_option
from vllmd.config.rules import suggest
from vllmd.errors import VllmdError
from vllmd.http import runbook_pages


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in runbook_pages.names() if name.startswith(incomplete)]


@click.command()
@click.argument("alert", required=False, shell_complete=_complete)
@json_option
def command(alert: str | None, as_json: bool) -> None:
    """Show what to do about an alert, or the names of all. It needs no daemon."""
    if alert is None:
        names = runbook_pages.names()
        if as_json:
            terminal.echo_json(names, indent=2)
        else:
            terminal.echo_text("\n".join(names))
        return
    text = runbook_pages.read(alert)
    if text is None:
        hint = suggest(alert, runbook_pages.names())
        raise VllmdError(f"no runbook {alert!r}; {hint or 'vllmd runbook lists them'}")
    if as_json:
        terminal.echo_json({"alert": alert, "markdown": text}, indent=2)
    elif terminal.moves_cursor() and not terminal.is_ascii_only():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        terminal.echo_text(text, nl=False)
