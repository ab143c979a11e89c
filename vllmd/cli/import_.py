"""`vllmd import`: a configuration from what served vLLM before."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from vllmd.cli.host_files import HostFiles
from vllmd.cli.import_sources import ImportCommand, read_sources
from vllmd.cli.import_view import Imported, show
from vllmd.cli.options import json_option
from vllmd.config import credentials
from vllmd.config.command import build_all
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError
from vllmd.errors import VllmdError
from vllmd.importing.comparison import compare
from vllmd.importing.launch import Mount
from vllmd.importing.logrotate import LogrotateKeys
from vllmd.importing.result import (
    Engine,
    Secret,
    about_versions,
    engines_of,
    next_steps,
    secrets_of,
)
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.writing import write
from vllmd.util.redact import Redactor


@click.command(cls=ImportCommand, context_settings={"ignore_unknown_options": True})
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("--name", help="Name of the engine; by default that of its container, or 'main'.")
@click.option("--pid", type=click.IntRange(1), help="Import the vLLM that runs as this process.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Where the source was run: what its relative paths are seen from.",
)
@click.option(
    "--home", type=click.Path(path_type=Path), help="The home of who ran it: what ~ stands for."
)
@click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="INSIDE=FOLDER",
    help="The folder of this host that is to be that of a container; repeatable.",
)
@click.option(
    "--profile", "profiles", multiple=True, help="A profile of the compose file; repeatable."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which must not be there yet; else to standard output.",
)
@click.option(
    "--credentials",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=credentials.FOLDER,
    show_default=True,
    help="With --output: the folder that secrets are written to, one a file.",
)
@click.option("--check", "checks", is_flag=True, help="Compare with the vLLM that runs here now.")
@json_option
def command(
    sources: tuple[str, ...],
    name: str | None,
    pid: int | None,
    directory: Path | None,
    home: Path | None,
    mounts: tuple[str, ...],
    profiles: tuple[str, ...],
    output: Path | None,
    folder: Path,
    checks: bool,
    as_json: bool,
) -> None:
    """Import SOURCE: a file, '-' for standard input, or a command line.

    A launch script, a unit of systemd (with its drop-ins, the script and the variables that it
    names), supervisord, 'docker run ...', a compose file, a quadlet of podman, manifests of
    Kubernetes, values of Helm, vLLM's own configuration, or 'vllm serve MODEL --flag ...' itself;
    beside it, a stanza of logrotate. Options of this command go before a command line. Nothing of
    it is run. What cannot be worked out is an error with its line, and nothing is written then. The
    command that ran and the one that will run are compared, each difference with its reason, on
    standard error.
    """
    if bool(sources) == (pid is not None):
        raise click.UsageError("give a SOURCE, or --pid PID")
    notes = Notes()
    around = Surroundings(
        HostFiles(),
        str(directory.absolute()) if directory else None,
        str(home.absolute()) if home else None,
        [mount_of(each) for each in mounts],
    )
    launches, rotation = read_sources(sources, pid, profiles, around, notes)
    engines = engines_of(launches, name, around, notes)
    redactor = Redactor(
        line for each in secrets_of(engines) for line in (each.value or "").splitlines()
    )
    if notes.problems:
        raise VllmdError(redactor.text(_refusal(notes)))
    imported = _imported(engines, rotation, notes, redactor, str(output) if output else None)
    written = _write(imported, output, folder) if output else []
    found = None
    if checks:
        from vllmd.cli.import_check import check_running

        found = check_running(engines)
    show(imported, written, found, output, as_json=as_json)
    if any(each.unexplained for each in imported.comparisons) or (
        found is not None and not found.same
    ):
        sys.exit(1)


def mount_of(text: str) -> Mount:
    """Return what `--mount` names.

    Raises: click.BadParameter: it is no folder of each side.
    """
    inside, equals, outside = text.partition("=")
    if not equals or not inside.startswith("/") or not outside:
        raise click.BadParameter(f"--mount {text!r}: it takes /INSIDE=FOLDER")
    return Mount(inside.rstrip("/") or "/", str(Path(outside).absolute()), f"the folder {outside}")


def _refusal(notes: Notes) -> str:
    """Return all problems, each once, in the order of their lines."""
    lines = "\n".join(f"  {problem}" for problem in sorted(notes.problems))
    return f"this cannot be taken over as it is:\n{lines}\nnothing was written"


def _imported(
    engines: Sequence[Engine],
    rotation: LogrotateKeys,
    notes: Notes,
    redactor: Redactor,
    path: str | None,
) -> Imported:
    """Return the file, and what is said of it.

    Raises: VllmdError: vllmd would not take it.
    """
    text = write({each.name: each.table for each in engines}, rotation.keys)
    try:
        config, problems = parse(text)
    except InvalidConfigError as error:
        words = "\n".join(problem.format("imported") for problem in error.problems)
        raise VllmdError(
            redactor.text(f"what was found cannot be used as it is:\n{words}\n\n{text}\nedit it")
        ) from None
    commands = build_all(config)
    comparisons = [
        compare(each.name, each.launch, each.table, commands[each.name]).without(redactor.text)
        for each in engines
    ]
    remarks = [remark for each in engines for remark in each.table.remarks]
    remarks += [*notes.remarks, *about_versions(engines), *rotation.remarks]
    remarks += [_without_prefix(problem.format("imported")) for problem in problems]
    return Imported(
        text,
        list(dict.fromkeys(map(redactor.text, remarks))),
        comparisons,
        list(secrets_of(engines)),
        next_steps(engines, path),
    )


def _without_prefix(text: str) -> str:
    return re.sub(r"^imported(:\d+)?: ", "", text)


def _write(imported: Imported, output: Path, folder: Path) -> list[str]:
    """Write the secrets and then the configuration; returns the paths.

    Raises: VllmdError: one of them is there already, or cannot be written.
    """
    if output.exists():
        raise VllmdError(f"{output} is there already: it is not overwritten")
    written = list(_write_secrets(imported.secrets, folder))
    _create(output, imported.text, 0o640)
    return [*written, str(output)]


def _write_secrets(secrets: Sequence[Secret], folder: Path) -> Iterator[str]:
    known = [each for each in secrets if each.value is not None]
    if known:
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise VllmdError(
                f"cannot write to {folder}: {error.strerror}; give --credentials DIR, and let root "
                f"put what is in it into {credentials.FOLDER}"
            ) from None
    for each in known:
        path = folder / each.file
        try:
            if path.exists() and path.read_text().strip() == each.value:
                continue
        except OSError:
            pass
        _create(path, f"{each.value}\n", 0o600)
        yield str(path)


def _create(path: Path, text: str, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(fd, "w") as file:
            path.chmod(mode)
            file.write(text)
    except FileExistsError:
        raise VllmdError(f"{path} is there already: it is not overwritten") from None
    except OSError as error:
        raise VllmdError(
            f"cannot write {path}: {error.strerror}; for secrets, --credentials DIR names another "
            "folder"
        ) from None
