"""What `vllmd import` is given: files, standard input, a command line, a process."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from vllmd.cli.host_files import MAX_BYTES
from vllmd.errors import VllmdError
from vllmd.importing.launch import Launch
from vllmd.importing.logrotate import LogrotateKeys, is_stanza, rotation_of
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.shim.files import read_regular


class ImportCommand(click.Command):
    """Takes a command line without quotes: its options are its own, from its first word on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``--`` before the first word of a command line."""
        takes = {
            option
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for option in parameter.opts
        }
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] not in ("-", "--"):
            at += 2 if args[at] in takes else 1
        if at < len(args) - 1 and (_is_word(args[at]) or self._are_of_file(ctx, args[at:])):
            args = [*args[:at], "--", *args[at:]]
        return super().parse_args(ctx, args)

    def _are_of_file(self, ctx: click.Context, args: list[str]) -> bool:
        """Tell whether what follows a script's name are arguments of its own."""
        own = {
            option
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        following = args[1].partition("=")[0]
        return (
            Path(args[0]).is_file()
            and following.startswith("-")
            and following not in (*own, "-", "-h", "--help")
            and not any(following.startswith(short) for short in own if len(short) == 2)
        )


def _is_word(argument: str) -> bool:
    """Tell the first word of a command line from a file, and from a whole line in quotes."""
    if argument in ("-", "--") or any(char.isspace() for char in argument):
        return False
    path = Path(argument)
    return (
        path.is_dir() or not path.exists() or path.name in ("vllm", "python3", "python", "docker")
    )


def read_sources(
    given: Sequence[str],
    pid: int | None,
    profiles: Sequence[str],
    around: Surroundings,
    notes: Notes,
) -> tuple[list[Launch], LogrotateKeys]:
    """Return what is started, and how its log is rotated.

    Raises: VllmdError: a source cannot be read, or starts no server.
    """
    if pid is not None:
        from vllmd.cli.import_process import launch_of

        return [launch_of(pid, notes)], LogrotateKeys()
    if len(given) > 1 and (_is_word(given[0]) or (given[1].startswith("-") and given[1] != "-")):
        program = given[0]
        if Path(program).is_file() and "/" not in program:
            program = f"./{program}"
        given = (shlex.join((program, *given[1:])),)  # a command line without its quotes
    sources = [_source(each) for each in given]
    stanzas = [each for each in sources if is_stanza(each.text)]
    launchers = [each for each in sources if not is_stanza(each.text)]
    if len(launchers) != 1 or len(stanzas) > 1:
        raise click.UsageError(
            f"there are {len(launchers)} launches and {len(stanzas)} stanzas of logrotate: give "
            "one launcher, and at most one stanza (--name tells engines apart)"
        )
    (launcher,) = launchers
    if not launcher.path and launcher.name != "-" and around.folder is None:
        around = attrs.evolve(around, folder=str(Path.cwd()))
    launches = read(launcher, around, notes, profiles)
    return launches, rotation_of("".join(each.text for each in stanzas))


def _source(given: str) -> Source:
    if given == "-":
        return Source(sys.stdin.read(), "-")
    try:
        path = Path(given)
        if path.is_file():
            text = read_regular(path, MAX_BYTES).decode()
            return Source(text, given, str(path.absolute()))
    except (OSError, ValueError) as error:
        raise VllmdError(f"cannot read {given}: {error}") from None
    if not any(char.isspace() for char in given):
        raise VllmdError(f"there is no file {given}; give one, or a whole command line in quotes")
    return Source(given)
