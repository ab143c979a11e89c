"""Launchers as people write them, each with the configuration that it means, or why it has none.

A folder is one launcher: its files, and ``case.toml`` with the arguments of `vllmd import`, and the
engines that are expected, or the exact lines of the refusal. ``{here}`` is the folder.
"""

import shutil
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from click.testing import CliRunner

from vllmd.cli.host_files import HostFiles
from vllmd.cli.import_ import command, mount_of
from vllmd.cli.import_sources import read_sources
from vllmd.config.command import Command, build_all
from vllmd.config.load import parse
from vllmd.errors import VllmdError
from vllmd.importing.comparison import Comparison, compare
from vllmd.importing.launch import Launch
from vllmd.importing.result import engines_of
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.writing import write

FOLDER = Path(__file__).parent
FORMS = {
    "line": "command lines",
    "shell": "shell scripts",
    "unit": "units of systemd",
    "supervisor": "supervisord, process-compose",
    "docker": "`docker run`, `podman run`",
    "compose": "compose files",
    "quadlet": "podman's quadlets",
    "kubernetes": "manifests of Kubernetes",
    "helm": "values of Helm",
    "config": "vLLM's `--config` files",
    "other": "SkyPilot, Ray, Ansible, Nomad, NixOS, pm2, cron and others",
}
"""What the first word of a folder's name says."""


_AROUND = ("this cannot be taken over as it is:", "nothing was written")
"""What stands around the lines of a refusal."""


@attrs.frozen
class Case:
    """One launcher, and what is right."""

    name: str
    arguments: tuple[str, ...]
    engines: dict[str, Any]
    refused: tuple[str, ...]
    says: tuple[str, ...]
    """What must stand on standard error."""
    next: str
    secrets: dict[str, str]
    """The files of secrets and what is in them; empty where the value is not known."""

    @property
    def form(self) -> str:
        """Its form."""
        return self.name.partition("-")[0]


@attrs.frozen
class Outcome:
    """What `vllmd import` made of a case."""

    right: bool
    taken: bool
    """It made a configuration."""
    found: str


def cases() -> Iterator[Case]:
    """Yield all launchers by name."""
    for path in sorted(FOLDER.glob("*/case.toml")):
        table = tomllib.loads(path.read_text())
        yield Case(
            path.parent.name,
            tuple(table["command"]),
            table.get("engines", {}),
            tuple(table.get("refused", ())),
            tuple(table.get("says", ())),
            table.get("next", ""),
            table.get("secrets", {}),
        )


def figures(found: Sequence[Case]) -> str:
    """Return the table of docs/migrate.md: how many are taken over, and how many refused.

    That none is wrong is what the tests of each show.
    """
    rows = ["| form | launchers | taken over, right | refused, rightly | wrong |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for form, what in (*FORMS.items(), ("", "all")):
        own = [case for case in found if form in (case.form, "")]
        taken = sum(bool(case.engines) for case in own)
        rows.append(f"| {what} | {len(own)} | {taken} | {len(own) - taken} | 0 |")
    return "\n".join(rows)


def placed(case: Case, folder: Path) -> tuple[Path, list[str]]:
    """Return a copy of a launcher's folder, and the arguments of `vllmd import` there."""
    here = folder / case.name
    shutil.copytree(FOLDER / case.name, here)
    for path in here.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace("{here}", str(here)))
    arguments = [each.replace("{here}", str(here)) for each in case.arguments]
    return here, [str(here / a) if (here / a).is_file() else a for a in arguments]


def compared(case: Case, folder: Path) -> Iterator[tuple[Launch, Command, Comparison]]:
    """Yield what ran, what will run, and what is said of the difference, for each engine."""
    _, arguments = placed(case, folder)
    given = command.make_context("import", arguments).params
    directory, home = (given[each] and str(given[each]) for each in ("directory", "home"))
    mounts = [mount_of(each) for each in given["mounts"]]
    around, notes = Surroundings(HostFiles(), directory, home, mounts), Notes()
    launches, _ = read_sources(given["sources"], None, given["profiles"], around, notes)
    engines = engines_of(launches, given["name"], around, notes)
    config, _ = parse(write({each.name: each.table for each in engines}))
    commands = build_all(config)
    for each in engines:
        own = commands[each.name]
        yield each.launch, own, compare(each.name, each.launch, each.table, own)


def run(case: Case, folder: Path) -> Outcome:
    """Import a launcher in a copy of its folder, and compare."""
    here, arguments = placed(case, folder)
    output, secrets = here / "made.toml", here / "made-secrets"
    options = ["-o", str(output), "--credentials", str(secrets)]
    result = CliRunner().invoke(command, [*options, *arguments])
    said = f"{result.output}{result.exception or ''}".replace(str(here), "{here}")
    if output.exists():
        made = output.read_text().replace(str(here), "{here}")
        files = {path.name: path.read_text().strip() for path in secrets.glob("*")}
        right = result.exit_code == 0 and _is_right(case, made, files, said)
        return Outcome(right, True, f"{made}\n{said}")
    if result.exit_code and not isinstance(result.exception, VllmdError | SystemExit):
        raise AssertionError(said) from result.exception
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reasons = sorted(line for line in lines if line not in _AROUND)
    return Outcome(reasons == sorted(case.refused), False, said)


def _is_right(case: Case, made: str, files: dict[str, str], said: str) -> bool:
    flat = " ".join(said.split())
    told = all(" ".join(each.split()) in flat for each in case.says)
    values = [line for value in case.secrets.values() for line in value.splitlines()]
    hidden = not any(value in made or value in said for value in values)
    known = {name: value for name, value in case.secrets.items() if value}
    todo = all(f"credentials/{name}" in said for name, value in case.secrets.items() if not value)
    steps = case.next in said
    engines = tomllib.loads(made)["engines"]
    return engines == case.engines and told and hidden and files == known and todo and steps
