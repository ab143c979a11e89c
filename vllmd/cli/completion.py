"""`vllmd completion`: completion for bash, zsh and fish, printed or put where the shell looks."""

import os
from pathlib import Path

import click

from vllmd.cli import terminal
from vllmd.cli.options import CommandGroup
from vllmd.cli.writing import write_whole
from vllmd.errors import VllmdError

FILES = {"bash": "vllmd", "zsh": "_vllmd", "fish": "vllmd.fish"}
"""The name of the file, as each shell looks for it."""


@click.group(cls=CommandGroup)
def command() -> None:
    """Set up shell completion of commands, engines, models, adapters, versions, events, alerts.

    The package brings that for all users.
    """


@command.command()
@click.argument("shell", type=click.Choice(list(FILES)))
def show(shell: str) -> None:
    """Print the script of a shell."""
    terminal.echo_text(script(shell))


@command.command()
@click.argument("shell", type=click.Choice(list(FILES)), required=False)
def install(shell: str | None) -> None:
    """Put the script where this user's shell looks for it; SHELL says which, if it is left out."""
    shell = shell or _own_shell()
    path = folder(shell) / FILES[shell]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, script(shell), 0o644)
    except OSError as error:
        raise VllmdError(f"cannot write {path}: {error.strerror}") from None
    terminal.echo(f"wrote {path}: a new {shell} completes vllmd")
    if shell == "bash":
        terminal.echo("it needs the package bash-completion")
    elif shell == "zsh":
        terminal.echo(f"before compinit in ~/.zshrc it needs: fpath+=({path.parent})")


def script(shell: str) -> str:
    """Return a shell's script."""
    from click.shell_completion import get_completion_class

    from vllmd.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None, shell
    return kind(cli, {}, "vllmd", "_VLLMD_COMPLETE").source()


def folder(shell: str) -> Path:
    """Return where a shell looks for the completions of this user.

    Source: bash-completion's README; fish-completions(1). zsh has no such folder: one of the usual.
    """
    home = os.environ.get("HOME") or "/"
    data = Path(os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share")
    if shell == "fish":
        return Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "fish/completions"
    return data / ("bash-completion/completions" if shell == "bash" else "zsh/site-functions")


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in FILES:
        known = ", ".join(FILES)
        raise click.UsageError(f"SHELL names {name or 'no shell'}: name one of {known}")
    return name
