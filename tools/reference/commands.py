"""Every command with its options, from the command line itself."""

import re
from collections.abc import Iterator

import click

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
            for name, _ in _below(context)
        ),
    )
    aliases = ", ".join(
        f"`vllmd {name}` for `vllmd {' '.join(words)}`" for name, words in ALIASES.items()
    )
    parts = [summary, f"Other names: {aliases}."]
    for name, command in _below(context):
        parts += _sections(f"vllmd {name}", command, context, "##")
    return page("Commands", ABOUT, parts)


def _below(context: click.Context) -> Iterator[tuple[str, click.Command]]:
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None and not command.hidden:
                yield name, command


def _sections(
    path: str, command: click.Command, parent: click.Context, level: str
) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=path.rsplit(" ", 1)[-1])
    yield f"{level} {path}"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield block(usage)
    yield from prose(command.help or command.get_short_help_str(200))
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None and record[1]
    ]
    if records:
        yield table(["option", "meaning"], ([code(n), plain(text)] for n, text in records))
    for name, below in _below(context):
        yield from _sections(f"{path} {name}", below, context, level + "#")


def prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help; what click does not wrap stays a block."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("\b"):
            yield block(paragraph.removeprefix("\b").strip("\n"))
        else:
            yield plain(paragraph)
