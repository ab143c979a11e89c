"""supervisord's and process-compose's programs, as commands. Pure.

Source: supervisord.org/configuration.html; process-compose's documentation.
"""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.importing.containers.compose_merge import merged
from vllmd.importing.containers.dotenv import dotenv
from vllmd.importing.ini import IniValue, settings_of
from vllmd.importing.serving import speaks_of_serving
from vllmd.importing.surroundings import Notes, Surroundings, join, named_by
from vllmd.importing.unknown import MARK_PATTERN, Place, mark, words_of
from vllmd.importing.yaml_values import Items, Table, documents, items_in, table_in, text_of

_PROGRAM = re.compile(r"^\s*\[program:([^\]]+)\]", re.MULTILINE)
_VARIABLE = re.compile(
    rf"([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|(?:{MARK_PATTERN}|[^,\s])*)"  # a mark is whole
)
_RESTART = "{}: vllmd restarts an engine whatever its exit code, by its cause"
_LOG = "the log file: vllmd writes and rotates a log of its own"
_SILENT = frozenset(
    {"command", "directory", "environment", "numprocs", "process_name", "startsecs", "priority"}
    | {"startretries", "exitcodes", "stopsignal", "autostart", "numprocs_start", "serverurl"}
)
_DONE = {
    "autorestart": _RESTART.format("autorestart"),
    "stopwaitsecs": "stopwaitsecs: see drain_s and stop_grace_s",
    "stopasgroup": "stopasgroup: vllmd ends the whole tree, and proves that it is gone",
    "killasgroup": "killasgroup: vllmd ends the whole tree, and proves that it is gone",
    "user": "user: engines run as user vllmd: let it read the model, the adapters and the cache",
}


@attrs.frozen
class Program:
    """One program that is kept running."""

    name: str
    script: str
    """What a shell would read."""
    variables: Mapping[str, str]
    folder: str | None
    place: Place
    remarks: tuple[str, ...]
    autostart: bool = True


MOST_ENGINES, DIGITS = 256, 9
"""Of one program: each becomes a table."""


def is_supervisor(text: str) -> bool:
    """Tell supervisord's configuration from others."""
    return bool(_PROGRAM.search(text))


def programs_of(text: str, path: str, around: Surroundings, notes: Notes) -> Iterator[Program]:
    """Yield the programs of supervisord, each as often as `numprocs` says."""
    common = ""
    sections: dict[str, list[Any]] = {}
    given_here = list(settings_of(text, path, indented=True))
    for each in [*given_here, *_included(given_here, path, around, notes)]:
        sections.setdefault(each.section, []).append(each)
        if (each.section, each.key) == ("supervisord", "environment"):
            common = each.value
    for section, settings in sections.items():
        kind, _, name = section.partition(":")
        values = {each.key: each for each in settings}
        if kind != "program" or "command" not in values:
            continue
        given = {key: each.value for key, each in values.items()}
        count = given.get("numprocs", "1")
        first = int(given.get("numprocs_start", "0") or 0)
        for number in range(first, first + _how_many(count, f"numprocs of {name}")):
            place = Place(values["command"].source, values["command"].line)
            own = {"process_num": number, "program_name": name, "group_name": name}
            script = shlex.join(words_of(_filled(given["command"], own, path, place)))
            variables = _assigned(_filled(common, own, path, place))
            variables |= _assigned(_filled(given.get("environment", ""), own, path, place))
            folder = _filled(given.get("directory", ""), own, path, place)
            starts = given.get("autostart", "true").lower() not in ("false", "no", "off", "0")
            remarks = tuple(_remarks(given))
            yield Program(name, script, variables, folder or around.folder, place, remarks, starts)


def _how_many(count: str, what: str) -> int:
    """Return how often a program runs. Raises: ValueError: it is more than a host has engines."""
    if not count.isdecimal():
        return 1
    if len(count) > DIGITS or int(count) > MOST_ENGINES:
        raise ValueError(f"{what} are {count}, and {MOST_ENGINES} are taken over at most")
    return int(count)


def _included(
    own: Iterable[IniValue], path: str, around: Surroundings, notes: Notes
) -> Iterator[IniValue]:
    """Yield the settings of the files that [include] names, as seen from the file's folder."""
    here = around.folder_of(path) or ""
    for each in own:
        if (each.section, each.key) != ("include", "files"):
            continue
        for pattern in each.value.replace("%(here)s", here).split():
            named = named_by(join(here, pattern), around.files)
            texts = [(file, around.files.read(file)) for file in named]
            if not any(text is not None for _, text in texts):
                notes.remark(
                    f"{path}:{each.line}: [include] {pattern}: nothing of that can be read here: "
                    "import where it can, if vLLM is started by one of them"
                )
                continue
            names = ", ".join(map(posixpath.basename, named))
            notes.remark(f"[include] {pattern}: {names} are read too")
            for file, content in texts:
                yield from settings_of(content or "", file, indented=True)


def _remarks(given: Mapping[str, str]) -> Iterator[str]:
    for key, value in given.items():
        if key in _DONE:
            yield _DONE[key]
        elif key.startswith(("stdout_", "stderr_", "redirect_")):
            yield _LOG
        elif key not in _SILENT:
            yield f"left out: {key}={value}: of supervisord"


def _filled(text: str, own: Mapping[str, Any], path: str, place: Place) -> str:
    """Put in ``%(name)s``; what supervisord alone knows becomes a mark."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] in own:
            return str(f"%{found[2]}" % own[found[1]])
        if found[1] == "here":
            return path.rpartition("/")[0] or "."
        return mark(found[0], "it is of what started supervisord, and not known here", place)

    return re.sub(r"%%|%\((\w+)\)([0-9]*[sd])", value, text)


def _assigned(text: str) -> dict[str, str]:
    return {name: value.strip("\"'") for name, value in _VARIABLE.findall(text)}


def is_process_compose(table: Table) -> bool:
    """Tell process-compose's configuration from other YAML."""
    processes = table_in(table, "processes")
    return any("command" in table_in(each) for each in processes.values())


def programs_of_process_compose(
    table: Table, path: str, around: Surroundings, notes: Notes
) -> Iterator[Program]:
    """Yield the programs of process-compose, which a shell reads, each as often as `replicas` says.

    Source: process-compose's documentation: a process that is disabled is started by hand only.
    """
    folder = around.folder_of(path)
    table = _overridden(table, path, folder, around, notes)
    text = around.files.read(f"{folder}/.env") if folder else None
    given = dotenv(text or "", f"{folder}/.env", {}, notes)
    common = {**given, **_listed(table.get("environment"))}
    for name, each in table_in(table, "processes").items():
        process = table_in(each)
        command = text_of(process.get("command"))
        entrypoint = [str(word) for word in items_in(process, "entrypoint")]
        script = command if command is not None else shlex.join(entrypoint)
        if not script:
            continue
        if text_of(process.get("disabled")) == "true":
            if speaks_of_serving([script]):
                notes.remark(f"left out: the process {name}: it is disabled, and started by hand")
            continue
        for key in process:
            if key not in _OF_PROCESS and speaks_of_serving([script]):
                at = Place(path, process.at(key))
                notes.refuse(at, f"{key} of the process {name} is not read: write what it does")
        remarks = [_RESTART.format("availability")] if "availability" in process else []
        remarks += [_LOG] if "log_location" in process else []
        place = Place(path, process.at("command"))
        count = text_of(process.get("replicas")) or "1"
        for number in range(_how_many(count, f"replicas of {name}")):
            values = {**table_in(table, "vars"), **table_in(process, "vars")}
            values["PC_REPLICA_NUM"] = str(number)
            yield Program(
                name,
                _put_in(script, values, place, notes),
                {
                    **common,
                    **{
                        key: _put_in(value, values, place, notes)
                        for key, value in _listed(process.get("environment")).items()
                    },
                    **({"PC_REPLICA_NUM": str(number)} if "PC_REPLICA_NUM" in script else {}),
                },
                text_of(process.get("working_dir")) or folder,
                place,
                tuple(remarks),
            )


_OF_PROCESS = frozenset(
    {"command", "entrypoint", "environment", "working_dir", "disabled", "replicas", "availability"}
    | {"log_location", "vars", "readiness_probe", "liveness_probe", "depends_on", "description"}
    | {"shutdown", "namespace", "is_tty", "is_daemon", "is_interactive", "is_foreground"}
    | {"ready_log_line", "launch_timeout_seconds", "log_configuration", "disable_ansi_colors"}
    | {"is_elevated", "is_dotenv_disabled", "is_disabled", "schedule"}
)
_OVERRIDE = "process-compose.override"


def _overridden(
    table: Table, path: str, folder: str | None, around: Surroundings, notes: Notes
) -> Table:
    """Return what process-compose makes of its file, and of the one of overrides beside it."""
    if "extends" in table:
        notes.refuse(Place(path, table.at("extends")), "'extends' is not read: give the whole file")
    stem, _, kind = posixpath.basename(path).rpartition(".")
    if stem != "process-compose" or not folder:
        return table
    for end in (kind, *({"yaml", "yml"} - {kind})):
        name = f"{_OVERRIDE}.{end}"
        text = around.files.read(f"{folder}/{name}")
        other = documents(text, name) if text is not None else []
        if len(other) == 1 and isinstance(other[0], Table):
            notes.remark(f"{name} beside it is read too, as process-compose does")
            return merged(table, other[0])
    return table


def _put_in(text: str, values: Mapping[str, Any], place: Place, notes: Notes) -> str:
    """Put in ``{{.NAME}}``; what a template computes is refused."""

    def value(found: re.Match[str]) -> str:
        name = re.fullmatch(r"\{\{-?\s*\.(\w+)\s*-?\}\}", found[0])
        known = text_of(values.get(name[1])) if name else None
        if known is None:
            notes.refuse(place, f"{found[0]}: what it stands for is not known here: write it")
        return known or ""

    return re.sub(r"\{\{.*?\}\}", value, text)


def _listed(value: Any) -> dict[str, str]:
    if isinstance(value, Items):
        return dict(str(each).partition("=")[::2] for each in value)
    return {name: text_of(each) or "" for name, each in table_in(value).items()}
