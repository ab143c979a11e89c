"""`vllmd engine`: the installed versions of vLLM, which one serves, and which flags each takes."""

import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.engine_compare import compare
from vllmd.cli.options import CommandGroup, json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.config import paths
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, InstallError, VllmdError
from vllmd.installing import adopt as adopting
from vllmd.installing import nvidia_driver, verify
from vllmd.installing.flags import Flag
from vllmd.installing.install import EngineSource, describe, install
from vllmd.installing.layout import InstalledEngines
from vllmd.installing.plan import VERSION, choose, is_supported, is_version
from vllmd.installing.probing import flag_table
from vllmd.installing.progress import progress_bar
from vllmd.util.units import format_bytes

HEADER = ["ENGINE", "VERSION", "BUILD", "PYTHON", "INSTALLED", ""]
FLAG_HEADER = ["FLAG", "TAKES", "DEFAULT", ""]

prefix_option = click.option(
    "--prefix",
    "engines",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VLLMD_ENGINES",
    default=paths.engine_prefix,
    show_default="/opt/vllmd/engine for root, else ~/.local/share/vllmd/engine",
    callback=lambda _ctx, _param, value: InstalledEngines(value.absolute()),
    help="The folder of the engines (or VLLMD_ENGINES).",
)


def complete_installed(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the installed engines that begin so."""
    given = ctx.params.get("engines")
    engines = (
        given if isinstance(given, InstalledEngines) else InstalledEngines(paths.engine_prefix())
    )
    try:
        return [name for name in engines.names() if name.startswith(incomplete)]
    except VllmdError:
        return []


installed_argument = click.argument("name", shell_complete=complete_installed)


def _complete_version(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Name the version that vllmd is tested with, and those that are here: they may be renewed."""
    here = [name.partition("+")[0] for name in complete_installed(ctx, param, incomplete)]
    return list(dict.fromkeys(v for v in (VERSION, *here) if v.startswith(incomplete)))


@click.group(cls=CommandGroup)
def command() -> None:
    """Install vLLM beside vllmd, and switch between its versions.

    An engine that runs is never touched: another version serves from its next start on.
    """


@command.command("install")
@click.argument("version", default=VERSION, shell_complete=_complete_version)
@click.option("--cpu", "build", flag_value="cpu", help="The build for the CPU.")
@click.option("--cuda", "build", flag_value="cuda", help="The build for CUDA, seen or not.")
@click.option(
    "--python",
    metavar="PYTHON",
    help="An interpreter, or a version that uv finds or brings; by default the one of vllmd.",
)
@click.option(
    "--wheels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with all wheels: no network is asked.",
)
@click.option("--torch-backend", metavar="NAME", help="Which PyTorch uv takes, such as cu129.")
@click.option("--uv", "uv_program", metavar="PROGRAM", help="The uv to use.")
@click.option("--no-use", is_flag=True, help="Do not make it the current engine.")
@click.option("--force", is_flag=True, help="Install with too little room, or too old a driver.")
@prefix_option
@socket_option
@json_option
def install_(
    client: ControlClient,
    engines: InstalledEngines,
    version: str,
    build: str | None,
    python: str | None,
    wheels: Path | None,
    torch_backend: str | None,
    uv_program: str | None,
    no_use: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Install a VERSION (by default the one that vllmd is tested with) and make it current.

    It takes gigabytes and minutes. What was interrupted is taken up again by the same command.
    """
    if not is_version(version):
        raise click.BadParameter(f"{version!r} is no version such as {VERSION}")
    plan = choose(version, build, has_gpu=nvidia_driver.has_gpu())
    if not is_supported(version):
        terminal.echo(f"vllmd is not tested with vLLM {version}; it may work", err=True)
    source = EngineSource(uv=uv_program, wheels=wheels, torch_backend=torch_backend, force=force)
    if python is not None:
        source = attrs.evolve(source, python=python)
    if not as_json:
        terminal.echo_text(describe(source, plan), err=True)
    with progress_bar(plan.name) as report:
        made = install(engines, plan, source, report)
    if no_use:
        done = [
            f"{made.name} is installed; 'vllmd engine use {made.name}' makes it the current one"
        ]
    else:
        done = _use(engines, made.name, client)
    _tell({**attrs.asdict(made), "current": engines.current == made.name}, done, as_json)


@command.command("list")
@prefix_option
@json_option
def list_(engines: InstalledEngines, as_json: bool) -> None:
    """Show the installed engines."""
    rows = list(_rows(engines))
    if as_json:
        terminal.echo_json({"prefix": str(engines.prefix), "engines": rows}, indent=2)
        return
    if not rows:
        terminal.echo(f"no engine in {engines.prefix}; 'vllmd engine install' gets one")
        return
    cells = [
        [
            row["name"],
            row["version"] or "?",
            row["build"] or "?",
            row["python"] or "?",
            _date(row["installed_at"]),
            ", ".join(row["is"]),
        ]
        for row in rows
    ]
    for line in format_table(HEADER, cells):
        terminal.echo(join(line))


@command.command("use")
@installed_argument
@prefix_option
@socket_option
@json_option
def use(client: ControlClient, engines: InstalledEngines, name: str, as_json: bool) -> None:
    """Make an installed engine the current one."""
    name = engines.known(name)
    _tell({"current": name}, _use(engines, name, client), as_json)


@command.command("rollback")
@prefix_option
@socket_option
@json_option
def rollback(client: ControlClient, engines: InstalledEngines, as_json: bool) -> None:
    """Go back to the engine that was current before."""
    with engines.locked():
        old, new = engines.rollback()
    done = [f"{new} is current; it was {old}", *_reload_daemon(client)]
    _tell({"current": new, "previous": old}, done, as_json)


@command.command("remove")
@installed_argument
@prefix_option
@json_option
def remove(engines: InstalledEngines, name: str, as_json: bool) -> None:
    """Remove an engine that is neither current nor in use."""
    name = engines.known(name)
    with engines.locked():
        engines.remove(name)
    _tell({"removed": name}, [f"{name} is removed"], as_json)


@command.command("verify")
@click.argument("name", required=False, shell_complete=complete_installed)
@prefix_option
@json_option
def verify_(engines: InstalledEngines, name: str | None, as_json: bool) -> None:
    """Compare each file of an engine (the current one) with the hash that it came with.

    Exits 1 if one is missing or was changed.
    """
    name = engines.known(name) if name else _current(engines)
    files = verify.listed(engines.folder(name))
    total = sum(file.size for file in files) or 1
    wrong, seen = [], 0
    with progress_bar(f"verify {name}") as report:
        for size, problem in verify.damaged(files):
            seen += size
            report(f"verify {name}", seen / total)
            if problem is not None:
                wrong.append(problem)
    said = f"{name}: {len(files)} files, {format_bytes(seen)}: "
    said += "all as they came" if not wrong else f"{len(wrong)} are not as they came"
    _tell({"name": name, "files": len(files), "damaged": wrong}, [*wrong, said], as_json)
    if wrong:
        sys.exit(1)


@command.command("adopt")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="What it is called here; by default its version.")
@prefix_option
@json_option
def adopt(engines: InstalledEngines, path: Path, name: str | None, as_json: bool) -> None:
    """Add a vLLM that is installed at PATH; nothing of it is changed.

    PATH is its environment, or its 'vllm'.
    """
    made = adopting.adopt(engines, path, name)
    words = f"{made.name}: vLLM {made.version} ({made.build}) at {made.program}"
    _tell(attrs.asdict(made), [words, f"'vllmd engine use {made.name}' makes it current"], as_json)


@command.command("flags")
@click.argument("name", required=False, shell_complete=complete_installed)
@click.option("--grep", metavar="REGEX", help="Only those whose name or help matches.")
@prefix_option
@json_option
def flags(engines: InstalledEngines, name: str | None, grep: str | None, as_json: bool) -> None:
    """Show the flags that an engine (the current one) takes, as its own parser has them."""
    name = engines.known(name) if name else _current(engines)
    table = flag_table(engines, name)
    if table is None:
        raise InstallError(f"the flags of {name} were never read: 'vllmd engine adopt' does it")
    try:
        wanted = re.compile(grep or "", re.IGNORECASE)
    except re.error as error:
        raise click.BadParameter(f"--grep {grep!r}: {error}") from None
    found = [f for f in table.flags if f.names and wanted.search(f"{' '.join(f.names)} {f.help}")]
    if as_json:
        shown = {"version": table.version, "flags": [attrs.asdict(each) for each in found]}
        terminal.echo_json(shown, indent=2)
        return
    for line in format_table(FLAG_HEADER, [_flag_row(each) for each in found]):
        terminal.echo(join(line))
    terminal.echo(f"{len(found)} of {len(table.flags)} flags of vLLM {table.version}", err=True)


def _flag_row(flag: Flag) -> list[str]:
    takes = "|".join(flag.choices) if flag.choices else flag.takes
    takes = "true, false" if flag.takes == "nothing" else takes
    words = flag.help if len(flag.help) <= 80 else f"{flag.help[:79]}…"
    default = "" if flag.default is None else json.dumps(flag.default)
    if flag.deprecated:
        words = f"deprecated: {words}"
    return [flag.names[0], takes + (" …" if flag.many else ""), default[:24], words]


def _rows(engines: InstalledEngines) -> Iterator[dict[str, Any]]:
    for name in engines.names():
        record = engines.record(name)
        standing = [link for link in ("current", "previous") if engines.linked(link) == name]
        if record is not None and record.adopted:
            standing.append("adopted")
        if not engines.complete(name):
            standing.append("incomplete")
        yield {
            "name": name,
            "version": record and record.version,
            "build": record and record.build,
            "python": record and record.python,
            "program": record and record.program,
            "installed_at": record and record.installed_at,
            "is": standing,
        }


def _use(engines: InstalledEngines, name: str, client: ControlClient) -> list[str]:
    old = engines.current
    with engines.locked():
        engines.use(name)
    if old == name:
        return [f"{name} is the current engine"]
    before = f"; it was {old}: 'vllmd engine rollback' goes back" if old else ""
    return [f"{name} is current{before}", *_reload_daemon(client)]


def _reload_daemon(client: ControlClient) -> list[str]:
    """Have the daemon look which program it would start now; say what is left to do."""
    try:
        plan = client.reload(apply=False)
    except DaemonUnreachableError:
        return []
    except VllmdError as error:
        return [f"the daemon was not notified: {error}", "'vllmd reload' tells it"]
    return [
        f"{name} serves on with what it was started with, until 'vllmd restart {name}'"
        for name in plan["restart"]
    ]


def _current(engines: InstalledEngines) -> str:
    if engines.current is None:
        raise click.UsageError(f"no engine in {engines.prefix} is the current one: name one")
    return engines.current


def _date(at: float | None) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d") if at else "?"


def _tell(shown: dict[str, Any], words: list[str], as_json: bool) -> None:
    if as_json:
        terminal.echo_json(shown, indent=2)
        return
    for line in words:
        terminal.echo(line)


command.add_command(compare)
