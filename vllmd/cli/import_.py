"""`vllmd import`: a configuration from what served vLLM before."""

import shlex
import sys
from pathlib import Path

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.options import json_option
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError
from vllmd.errors import VllmdError
from vllmd.importing.engine import table_of
from vllmd.importing.launch import (
    Launch,
    environment_files,
    find,
    find_remarks,
    script_of,
    unsolved,
    variables_of,
)
from vllmd.importing.logrotate import is_stanza, rotation_of
from vllmd.importing.writing import write


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--name", default="main", show_default=True, help="Name of the engine.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which must not be there yet; else to standard output.",
)
@json_option
def command(sources: tuple[str, ...], name: str, output: Path | None, as_json: bool) -> None:
    """Import SOURCE: a file, '-' for standard input, or a command line.

    A launch script, a unit of systemd (the script and the variables that it names are read too), or
    'vllm serve MODEL --flag ...' itself; beside it, a stanza of logrotate. Nothing of it is run.
    A script that starts several engines gets a table for each. What is not taken over is said on
    standard error, and why.
    """
    if len(sources) > 1 and not any(source == "-" or Path(source).exists() for source in sources):
        sources = (shlex.join(sources),)  # a command line without its quotes
    texts = [_text(source) for source in sources]
    stanzas = [text for text in texts if is_stanza(text)]
    launches = [text for text in texts if not is_stanza(text)]
    if len(launches) != 1 or len(stanzas) > 1:
        raise click.UsageError(
            f"there are {len(launches)} launches and {len(stanzas)} stanzas of logrotate: give one "
            "unit, script or command line, and at most one stanza (--name tells engines apart)"
        )
    found = _launch(launches[0])
    tables = {f"{name}-{i}" if i > 1 else name: table_of(each) for i, each in enumerate(found, 1)}
    rotation = rotation_of("".join(stanzas))
    if any("model" not in table.keys for table in tables.values()):
        raise VllmdError("the command names no model; write it after 'serve', or as --model")
    text = write(tables, rotation.keys)
    if left := dict.fromkeys(word for each in found for word in unsolved(each)):
        raise VllmdError(
            "a shell works these out, and nothing is run here: "
            f"{', '.join(left)}\n\n{text}\nwrite the values"
        )
    try:
        _, problems = parse(text)
    except InvalidConfigError as error:
        words = "\n".join(problem.format("imported") for problem in error.problems)
        raise VllmdError(
            f"what was found cannot be used as it is:\n{words}\n\n{text}\nedit it"
        ) from None
    said = [remark for table in tables.values() for remark in table.remarks] + rotation.remarks
    remarks = [*dict.fromkeys(said), *(problem.format("imported") for problem in problems)]
    if as_json:
        terminal.echo_json({"toml": text, "remarks": remarks}, indent=2)
    elif output is None:
        terminal.echo_text(text, nl=False)
    if output is not None:
        _create(output, text)
    if not as_json:
        for remark in remarks:
            terminal.echo(terminal.style(remark, fg="yellow"), err=True)


def _launch(text: str) -> list[Launch]:
    """Find the commands; where a unit starts a script, in that script."""
    variables = variables_of(text)
    for path in environment_files(text):
        variables |= _variables_in(path)
    try:
        return find(text, variables)
    except VllmdError:
        script = script_of(text)
        if script is None or not Path(script).is_file():
            raise
    around = tuple(find_remarks(text))
    return [
        attrs.evolve(each, remarks=(*each.remarks, *around))
        for each in find(_text(script), variables)
    ]


def _variables_in(path: str) -> dict[str, str]:
    """Read a file of a unit's variables. Source: systemd.exec(5), EnvironmentFile."""
    if not Path(path).is_file():
        return {}
    lines = (line.partition("=") for line in _text(path).splitlines() if line[:1] not in "#;")
    return {name.strip(): value.strip().strip("\"'") for name, _, value in lines if value}


def _text(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    try:
        path = Path(source)
        if path.is_file():
            return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise VllmdError(f"cannot read {source}: {error}") from None
    if " " not in source:
        raise VllmdError(f"there is no file {source}; give one, or a whole command line in quotes")
    return source


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x") as file:
            path.chmod(0o640)  # it may hold a key
            file.write(text)
    except FileExistsError:
        raise VllmdError(f"{path} is there already: it is not overwritten") from None
    except OSError as error:
        raise VllmdError(f"cannot write {path}: {error.strerror}") from None
    terminal.echo(f"wrote {path}", err=True)
