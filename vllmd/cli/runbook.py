"""`vllmd runbook`: what to do about an alert, on the host that it is about."""

import click

from vllmd.cli import terminal
from vllmd.cli.options import complete_engine, json_option, socket_option
from vllmd.config.rules import suggest
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.http import runbook_pages


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in runbook_pages.names() if name.startswith(incomplete)]


def _concerned(client: ControlClient, alert: str) -> str | None:
    """Return the engine that an alert is about, if the daemon knows of one only."""
    try:
        document = client.status()
    except VllmdError:
        return None
    names = {each["engine"] for each in document.get("conditions", ()) if each["alert"] == alert}
    names = names - {None} or {each["name"] for each in document["engines"]}
    return names.pop() if len(names) == 1 else None


@click.command()
@click.argument("alert", required=False, shell_complete=_complete)
@click.argument("engine", required=False, shell_complete=complete_engine)
@socket_option
@json_option
def command(alert: str | None, engine: str | None, client: ControlClient, as_json: bool) -> None:
    """Show the runbook of an alert, or the names of all. It needs no daemon.

    Its commands are for ENGINE; else for the engine that the alert applies to now, or the only one.
    """
    if alert is None:
        names = runbook_pages.names()
        if as_json:
            terminal.echo_json(names, indent=2)
        else:
            terminal.echo_text("\n".join(names))
        return
    text = runbook_pages.read(alert, engine or _concerned(client, alert))
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
