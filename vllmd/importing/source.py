"""Which kind of launcher a text is, and the servers that it starts. Pure."""

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.config_file import arguments_of
from vllmd.importing.launch import Launch
from vllmd.importing.shell.script import launches_of
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unit import command_of, is_unit
from vllmd.importing.unknown import Place, as_written, is_unknown
from vllmd.importing.variables import kept

COMMAND_LINE = "command line"


@attrs.frozen
class Source:
    """A launcher: its text, and the file that it is in."""

    text: str
    name: str = COMMAND_LINE
    """What places call it."""
    path: str = ""
    """Its absolute path; empty if it is in no file."""


def read(
    source: Source, around: Surroundings, notes: Notes, profiles: Sequence[str] = ()
) -> list[Launch]:
    """Return the servers that a launcher starts; what keeps them from being taken over is noted.

    Raises: VllmdError: it starts none, or cannot be read at all.
    """
    unread: Mapping[str, Sequence[int]] = {}
    if is_unit(source.text):
        launches, unread = _of_unit(source, around, notes)
    else:
        launches, unread = launches_of(
            source.text, Place(source.name, 1), around, notes, path=source.path, other=_other
        )
    launches = [_with_config(each, around, notes) for each in launches]
    if not launches and not notes.problems:
        raise VllmdError(_nothing(source, unread))
    if unread and launches:
        listed = ", ".join(f"{name} (line {lines[0]})" for name, lines in list(unread.items())[:12])
        notes.remark(f"not run here, and not looked into: {listed}")
    return launches


def _other(_state: object, _words: Sequence[str], _place: Place) -> bool:
    return False


def _nothing(source: Source, unread: Mapping[str, Sequence[int]]) -> str:
    missing = [name for name in unread if "/" in name]
    also = f"; it runs {', '.join(missing)}, which cannot be read here" if missing else ""
    return (
        f"{source.name}: no command that serves was found: neither 'vllm serve MODEL …' nor "
        f"'python -m vllm.entrypoints.openai.api_server --model MODEL …'{also}"
    )


def _of_unit(
    source: Source, around: Surroundings, notes: Notes
) -> tuple[list[Launch], Mapping[str, Sequence[int]]]:
    unit = command_of(source.text, source.path or source.name, around, notes)
    inside = attrs.evolve(around, folder=unit.folder)
    launches, unread = launches_of(
        shlex.join(unit.words),
        unit.place,
        inside,
        notes,
        variables=unit.variables,
        other=_other,
    )
    return [_without(each, unit.used) for each in launches], unread


def _without(launch: Launch, used: frozenset[str]) -> Launch:
    """Leave out the variables that the unit's own words had."""
    variables, said = kept(launch.variables, used)
    return attrs.evolve(launch, variables=variables, remarks=(*launch.remarks, *said))


def _with_config(launch: Launch, around: Surroundings, notes: Notes) -> Launch:
    """Put what a file of --config has before the other arguments."""
    words = list(launch.arguments)
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name != "--config":
            continue
        path = value if equals else (words[index + 1] if index + 1 < len(words) else "")
        text, whole = _content(path, launch, around)
        if text is None:
            notes.refuse(
                launch.place,
                f"--config {as_written(path)}: {as_written(whole)} cannot be read here, and it has "
                "arguments of vLLM: run this where it can be",
            )
            return launch
        rest = words[:index] + words[index + (1 if equals else 2) :]
        made = arguments_of(text, whole)
        at = 1 if rest and not rest[0].startswith("-") else 0
        if at and "--model" in made:
            notes.remark(f"{whole}: its model is not used: the command names one")
            where = made.index("--model")
            del made[where : where + 2]
        notes.remark(f"--config {whole}: what it has is written out")
        return attrs.evolve(launch, arguments=(*rest[:at], *made, *rest[at:]))
    return launch


def _content(path: str, launch: Launch, around: Surroundings) -> tuple[str | None, str]:
    """Return a file's text and its whole path, as seen from where the server is started."""
    if is_unknown(path):
        return None, path
    whole = join(launch.folder or around.folder or "", path)
    if launch.container is not None:
        for mount in launch.container.mounts:
            inside = mount.inside.rstrip("/")
            if mount.outside and (whole == inside or whole.startswith(f"{inside}/")):
                whole = mount.outside.rstrip("/") + whole[len(inside) :]
                break
        else:
            return None, whole
    if whole in launch.written:
        return launch.written[whole], whole
    return (around.files.read(whole) if posixpath.isabs(whole) else None), whole


def is_shell(text: str) -> bool:
    """Tell a script by its first line."""
    return bool(re.match(r"#!.*\b(sh|bash|dash|zsh|ksh)\b", text))
