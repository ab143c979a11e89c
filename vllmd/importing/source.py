"""Which kind of launcher a text is, and the servers that it starts. Pure."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.config_file import arguments_of
from vllmd.importing.containers.compose import is_compose, specs_of_compose
from vllmd.importing.containers.compose_up import is_up, specs_of_up
from vllmd.importing.containers.docker_run import arguments_of_run, spec_of
from vllmd.importing.containers.helm import is_values, specs_of_values
from vllmd.importing.containers.kubernetes import is_manifest, specs_of_manifests
from vllmd.importing.containers.quadlet import is_quadlet, spec_of_quadlet
from vllmd.importing.containers.spec import launches
from vllmd.importing.crontab import REMARK, commands_of, is_crontab
from vllmd.importing.ini import begins_with_section
from vllmd.importing.known_commands import CONTAINER_ENGINES
from vllmd.importing.launch import Launch
from vllmd.importing.other_formats import refusal, refusal_of_yaml
from vllmd.importing.serving import MODULES, speaks_of_serving
from vllmd.importing.shell.script import launches_of
from vllmd.importing.shell.state import ShellState
from vllmd.importing.supervisor import (
    Program,
    is_process_compose,
    is_supervisor,
    programs_of,
    programs_of_process_compose,
)
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unit import command_of, is_unit
from vllmd.importing.unknown import Place, as_written, is_unknown
from vllmd.importing.yaml_values import Table, documents
from vllmd.util.redact import without_shapes

COMMAND_LINE = "command line"
_COMPOSE = "docker compose up"
_STARTS = frozenset({"start", "restart", "enable", "reenable", "try-restart"})
_SUPERVISES = frozenset({"update", "start", "restart", "reload", "add"})
"""What makes supervisord start what its files have. Source: supervisorctl's help."""


@attrs.frozen
class Source:
    """A launcher: its text, and the file that it is in."""

    text: str
    name: str = COMMAND_LINE
    """What places call it."""
    path: str = ""
    """Its absolute path; empty if it is in no file."""


Found = tuple[list[Launch], Mapping[str, Sequence[int]]]
"""Servers, and the commands that were not followed, with their lines."""


def read(
    source: Source, around: Surroundings, notes: Notes, profiles: Sequence[str] = ()
) -> list[Launch]:
    """Return the servers that a launcher starts; what keeps them from being taken over is noted.

    `profiles` are those of a compose file.

    Raises: VllmdError: it starts none, or cannot be read at all.
    """
    try:
        found, unread = _read(source, around, notes, profiles)
    except ValueError as error:  # of shlex: a quote has no end
        raise VllmdError(f"{source.name}: a command in it cannot be read: {error}") from None
    found = [_with_config(_mounted(each, around), around, notes) for each in found]
    if not found and not notes.problems:
        raise VllmdError(_nothing(source, unread))
    if unread and found:
        listed = ", ".join(f"{name} (line {lines[0]})" for name, lines in list(unread.items())[:12])
        notes.remark(f"not run here, and not looked into: {listed}")
    return found


def _read(source: Source, around: Surroundings, notes: Notes, profiles: Sequence[str]) -> Found:
    path = source.path or source.name
    sections = begins_with_section(source.text)
    if sections and is_quadlet(source.text):
        spec = spec_of_quadlet(source.text, path, around, notes)
        return (launches(spec, around, notes) if spec else []), {}
    if sections and is_unit(source.text):
        return _of_unit(source, around, notes)
    if sections and is_supervisor(source.text):
        return _of_programs(programs_of(source.text, path, around, notes), around, notes)
    if said := refusal(source.text, source.path):
        raise VllmdError(f"{source.name}: {said}")
    if is_crontab(source.text):
        notes.remark(REMARK)
        inside = attrs.evolve(around, folder=around.home)
        place = Place(source.name, 1)
        return launches_of(commands_of(source.text), place, inside, notes, other=_other)
    tables = _tables(source)
    if tables is not None:
        return _of_yaml(tables, path, around, notes, profiles)
    return launches_of(
        source.text, Place(source.name, 1), around, notes, path=source.path, other=_other
    )


def _tables(source: Source) -> list[Table] | None:
    """Return the tables of a text that is YAML; None if it is another."""
    named = re.search(r"\.(ya?ml|json)$", source.name)
    first = next((line for line in source.text.splitlines() if re.match(r"[^#\s]", line)), "")
    looks = re.match(r"(---|%YAML|[\w.-]+:(\s|$)|\{\s*$)", first) and not is_shell(source.text)
    if not named and not looks:
        return None
    processes = re.search(r"^processes:", source.text, re.MULTILINE)  # has templates of its own
    if re.search(r"\{\{-?\s*[.$\w]", source.text) and not processes:
        raise VllmdError(
            f"{source.name}: it is a template: 'helm template' writes the manifests: import these"
        )
    found = documents(source.text, source.name)
    for each in found:
        if said := refusal_of_yaml(each):
            raise VllmdError(f"{source.name}: {said}")
    return [each for each in found if isinstance(each, Table)] or None


def _of_yaml(
    tables: list[Table], path: str, around: Surroundings, notes: Notes, profiles: Sequence[str]
) -> Found:
    first = tables[0]
    if any(is_manifest(each) for each in tables):
        specs = specs_of_manifests(tables, path, notes)
    elif is_compose(first):
        specs = specs_of_compose(first, path, profiles, around, notes)
    elif is_values(first):
        specs = specs_of_values(first, path, notes)
    elif is_process_compose(first):
        programs = programs_of_process_compose(first, path, around, notes)
        return _of_programs(programs, around, notes)
    elif {"model", "model-tag", "model_tag"} & set(first):
        line = f"vllm serve --config {shlex.quote(path)}"
        return launches_of(line, Place(path, 1), around, notes, other=_other)
    else:
        raise VllmdError(
            f"{path}: this YAML is none that is read: a compose file (services:), manifests of "
            "Kubernetes (apiVersion:, kind:), values of vLLM's charts, process-compose "
            "(processes:), or vLLM's own configuration (model:)"
        )
    return [each for spec in specs for each in launches(spec, around, notes)], {}


def _of_programs(programs: Iterable[Program], around: Surroundings, notes: Notes) -> Found:
    found: list[Launch] = []
    unread: dict[str, Sequence[int]] = {}
    for each in programs:
        inside = attrs.evolve(around, folder=each.folder)
        made, others = launches_of(
            each.script, each.place, inside, notes, variables=each.variables, other=_other
        )
        unread |= others
        found += [
            attrs.evolve(
                one,
                name=one.name or each.name,
                remarks=(*one.remarks, *each.remarks),
                autostart=each.autostart,
            )
            for one in made
        ]
    return found, unread


def _other(state: ShellState, words: Sequence[str], place: Place) -> bool:
    """Take what runs a container, of the commands of a script."""
    arguments = arguments_of_run(words)
    if arguments is None:
        return _started(state, words) or _refuse_other(state, words, place)
    around = state.inside()
    spec = spec_of(arguments, place, around, state.notes, state.environment())
    if spec is not None:
        state.launches += launches(spec, around, state.notes)
    return True


def _started(state: ShellState, words: Sequence[str]) -> bool:
    """Take what a compose file, or a unit that the script writes, starts."""
    if is_up(words):
        around = state.inside()
        specs = specs_of_up(words, around, state.notes)
        for each in specs or ():
            state.launches += launches(each, around, state.notes)
        return specs is not None
    program = words[0].rsplit("/", 1)[-1]
    supervised = program == "supervisorctl" and bool(_SUPERVISES & set(words))
    if not supervised and (program != "systemctl" or not _STARTS & set(words)):
        return False
    names = {each.removesuffix(".service") for each in words[1:]}
    found = False
    for path in list(state.written):
        stem, _, kind = posixpath.basename(path).rpartition(".")
        unit = stem in names and kind in ("service", "container")
        if not (is_supervisor(state.written[path]) if supervised else unit):
            continue
        found = True
        if path not in state.read:
            text = state.text_of(path) or ""
            made, _ = _read(Source(text, path, path), state.inside(), state.notes, ())
            state.launches += made
    return found


def _refuse_other(state: ShellState, words: Sequence[str], place: Place) -> bool:
    name = words[0].rsplit("/", 1)[-1]
    if is_up(words):
        state.unread.setdefault(_COMPOSE, []).append(place.line)
    elif (
        name in CONTAINER_ENGINES
        and speaks_of_serving(words[1:])
        and words[1:2] not in (["pull"], ["rm"])
    ):
        state.notes.refuse(
            place, f"'{as_written(' '.join(words[:2]))} …' is not read: give the 'run' line"
        )
    elif name in ("kubectl", "helm") and {"apply", "install", "upgrade"} & set(words):
        state.unread.setdefault(as_written(" ".join(words)), []).append(place.line)
    else:
        return False
    return True


def _mounted(launch: Launch, around: Surroundings) -> Launch:
    """Let folders that were named for those of a container be these."""
    if launch.container is None or not around.mounts:
        return launch
    given = tuple(around.mounts)
    inside = {each.inside for each in given}
    rest = tuple(each for each in launch.container.mounts if each.inside not in inside)
    container = attrs.evolve(launch.container, mounts=(*rest, *given))
    return attrs.evolve(launch, container=container)


def _nothing(source: Source, unread: Mapping[str, Sequence[int]]) -> str:
    missing = [name for name in unread if "/" in name]
    also = f"; it runs {', '.join(missing)}, which cannot be read here" if missing else ""
    if _COMPOSE in unread:
        also = "; it starts what a compose file says: import that file"
    return without_shapes(
        f"{source.name}: no command that serves was found: neither 'vllm serve MODEL …' nor "
        f"'python -m vllm.entrypoints.openai.api_server --model MODEL …'{also}"
    )


def _of_unit(source: Source, around: Surroundings, notes: Notes) -> Found:
    unit = command_of(source.text, source.path or source.name, around, notes)
    inside = attrs.evolve(around, folder=unit.folder)
    return launches_of(
        shlex.join(unit.words),
        unit.place,
        inside,
        notes,
        variables=unit.variables,
        used=unit.used,
        other=_other,
    )


def _with_config(launch: Launch, around: Surroundings, notes: Notes) -> Launch:
    """Put what a file of --config has before the other arguments."""
    words = list(launch.arguments)
    for index, word in enumerate(words):
        if word.startswith("--config="):  # vllm/utils/argparse_utils.py looks for the word alone
            notes.refuse(
                launch.place,
                f"{as_written(word)}: vLLM reads the file only where --config is a word of its "
                "own, and ran without it: write '--config FILE', or take it out",
            )
            return launch
        if word != "--config":
            continue
        path = words[index + 1] if index + 1 < len(words) else ""
        if words.count("--config") > 1:
            notes.refuse(launch.place, "--config is given twice, which vLLM refuses")
            return launch
        text, whole = _content(path, launch, around)
        if text is None:
            notes.refuse(
                launch.place,
                f"--config {as_written(path)}: {as_written(whole)} cannot be read here, and it has "
                "arguments of vLLM: run this where it can be",
            )
            return launch
        rest = words[:index] + words[index + 2 :]
        module = not MODULES.isdisjoint(launch.ran)
        made, said = arguments_of(text, whole, module=module)
        for each in said:
            notes.remark(f"{whole}: {each}")
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
    if launch.container is not None and whole not in launch.written:
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
