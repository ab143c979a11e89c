"""Every command with its options, from the command line itself."""

from collections.abc import Iterator

import click

from tools.manual import options, paragraphs, subcommands
from tools.reference.markdown import block, code, page, plain, table
from vllmd.cli.main import ALIASES, COMMANDS, cli

ABOUT = """\
`vllmd` alone shows the engines and what to do next. ENGINE may be left out where there is one.
Every command has `--help`, and in the package a manual page (`man vllmd-status`). What they end
with: [exit codes](states.md#exit-codes).
"""


def commands() -> str:
    """Return the page."""
    context = click.Context(cli, info_name="vllmd")
    summary = table(
        ["command", "what"],
        (
            [f"[`vllmd {name}`](#vllmd-{name})", plain(COMMANDS[name])]
            for name, _ in subcommands(context)
        ),
    )
    aliases = ", ".join(
        f"`vllmd {name}` for `vllmd {' '.join(words)}`" for name, words in ALIASES.items()
    )
    parts = [summary, f"Other names: {aliases}."]
    for name, command in subcommands(context):
        parts += _sections(f"vllmd {name}", command, context, "##")
    return page("Commands", ABOUT, parts)


def _sections(
    path: str, command: click.Command, parent: click.Context, level: str
) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=path.rsplit(" ", 1)[-1])
    yield f"{level} {path}"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield block(usage)
    yield from prose(command.help or command.get_short_help_str(200))
    if records := list(options(context)):
        yield table(["option", "meaning"], ([code(n), plain(text)] for n, text in records))
    for name, below in subcommands(context):
        yield from _sections(f"{path} {name}", below, context, level + "#")


def prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help; what click does not wrap stays a block."""
    for words, as_it_is in paragraphs(text):
        yield block(words) if as_it_is else plain(words)
