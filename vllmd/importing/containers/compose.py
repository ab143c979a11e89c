"""A compose file, as the containers of its services. Pure.

Source: the Compose specification.
"""

import posixpath
from collections.abc import Sequence
from typing import Any

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.containers.compose_merge import merged, seen_from
from vllmd.importing.containers.compose_service import ComposeFile, replicas_of, take
from vllmd.importing.containers.dotenv import dotenv
from vllmd.importing.containers.interpolation import Interpolation
from vllmd.importing.containers.spec import ContainerSpec, is_of_vllm
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unknown import Place, words_of
from vllmd.importing.yaml_values import Items, Table, documents, items_in, table_in, text_of

_OVERRIDES = {
    "compose.yaml": ("compose.override.yaml", "compose.override.yml"),
    "compose.yml": ("compose.override.yml", "compose.override.yaml"),
    "docker-compose.yml": ("docker-compose.override.yml", "docker-compose.override.yaml"),
    "docker-compose.yaml": ("docker-compose.override.yaml", "docker-compose.override.yml"),
}


@attrs.frozen
class ComposeUp:
    """What `docker compose … up` was told."""

    files: Sequence[tuple[str, str]] = ()
    """The files after the first, with their texts: they go over it."""
    services: Sequence[str] = ()
    """Those that it starts, with what they depend on; all if none is named."""
    env_file: str = ".env"
    beside: bool = True
    """A file of overrides beside the first goes over it."""


_MAX_INCLUDED = 8
"""So deep files may include others."""


def is_compose(table: Table) -> bool:
    """Tell a compose file from other YAML."""
    return isinstance(table.get("services"), Table)


def specs_of_compose(
    table: Table,
    path: str,
    profiles: Sequence[str],
    around: Surroundings,
    notes: Notes,
    up: ComposeUp | None = None,
    depth: int = 0,
) -> list[ContainerSpec]:
    """Return the containers of vLLM's services; those of others are named.

    `up` is what it is started by, where that is known. Relative paths are seen from the file's
    folder, as compose does.
    """
    folder = around.folder_of(path)
    around = attrs.evolve(around, folder=folder)
    up = up or ComposeUp()
    beside = join(folder or "", up.env_file)
    text = around.files.read(beside) if folder else None
    variables = dotenv(text or "", beside, {}, notes)
    if named := variables.get("COMPOSE_PROFILES"):
        notes.remark(f"COMPOSE_PROFILES={named} of .env is taken, as compose does")
        profiles = [*profiles, *named.split(",")]
    if "COMPOSE_FILE" in variables:
        notes.refuse(
            Place(beside, 1),
            "COMPOSE_FILE names the files: take the line out, and give what 'docker compose "
            "config' prints",
        )
    table = _overridden(table, path, up, around, notes)
    included = _included(table, path, profiles, up, around, notes, depth)
    filled = Interpolation(variables, path, notes, around).value(table)
    file = ComposeFile(
        table_in(filled, "services"),
        table_in(filled, "volumes"),
        table_in(filled, "secrets"),
        table_in(filled, "configs"),
        path,
        around,
        notes,
        variables,
    )
    found, others = [], []
    wanted = _with_those_before(up.services, file)
    for name, service in file.services.items():
        if up.services and name not in wanted:
            notes.remark(f"left out: the service {name}: what starts the others leaves it out")
            continue
        spec = _spec(name, service, ["*"] if up.services else profiles, file)
        if isinstance(spec, ContainerSpec):
            found.append(spec)
        elif spec:
            others.append(spec)
    found = included + found
    if others and found:
        notes.remark(f"left out: services that are not vLLM: {', '.join(others)}")
    return found


def _included(
    table: Table,
    path: str,
    profiles: Sequence[str],
    up: ComposeUp,
    around: Surroundings,
    notes: Notes,
    depth: int,
) -> list[ContainerSpec]:
    """Return the containers of files that are included, each seen from its own folder."""
    found: list[ContainerSpec] = []
    for each in items_in(table, "include"):
        place = Place(path, getattr(each, "line", table.at("include")))
        named = text_of(each) or text_of(table_in(each).get("path")) or ""
        other = join(around.folder or "", named)
        text = around.files.read(other) if named and around.folder else None
        if set(table_in(each)) - {"path"} or up.services or not named or "$" in named:
            notes.refuse(
                place, "this 'include' is not read: give what 'docker compose config' prints"
            )
        elif text is None or depth >= _MAX_INCLUDED:
            notes.refuse(place, f"include: {other} cannot be read here: run this where it can")
        else:
            inside = attrs.evolve(around, folder=None)
            one = _one(text, other)
            found += specs_of_compose(one, other, profiles, inside, notes, depth=depth + 1)
    return found


def _overridden(
    table: Table, path: str, up: ComposeUp, around: Surroundings, notes: Notes
) -> Table:
    """Return a file with those that go over it."""
    folder = around.folder
    for name in _OVERRIDES.get(posixpath.basename(path), ()):
        other = around.files.read(join(folder, name)) if folder and up.beside else None
        if other is not None:
            notes.remark(f"{name} beside it is read too, as compose does")
            table = merged(table, _one(other, name))
            break
    for name, other in up.files:
        table = merged(table, _one(other, name))
    return table


def _with_those_before(services: Sequence[str], file: ComposeFile) -> set[str]:
    """Return services and all that they depend on."""
    wanted: set[str] = set()
    waiting = list(services)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            before = table_in(file.services.get(name)).get("depends_on")
            waiting += [str(each) for each in (before if isinstance(before, Items | Table) else ())]
    return wanted


def _one(text: str, source: str) -> Table:
    found = documents(text, source)
    if len(found) != 1 or not isinstance(found[0], Table):
        raise VllmdError(f"{source}: it is no compose file")
    return found[0]


def _spec(
    name: str, service: Any, profiles: Sequence[str], file: ComposeFile
) -> ContainerSpec | str:
    """Return a service's container, or the name of one that is not vLLM."""
    if not isinstance(service, Table):
        return name
    service = _extended(service, file, 0)
    image = text_of(service.get("image")) or ""
    command, entrypoint = _command(service.get("command")), _command(service.get("entrypoint"))
    words = [*(entrypoint or []), *(command or [])]
    if not is_of_vllm(image, words):
        built = "build" in service and ("vllm" in name or "vllm" in str(service["build"]))
        if not built:
            return name
    place = Place(file.source, service.at("command") if command else service.line)
    wanted = [str(each) for each in items_in(service, "profiles")]
    if wanted and not set(wanted) & set(profiles) and "*" not in profiles:
        file.notes.remark(
            f"left out: the service {name}: it is of profile {', '.join(wanted)}: "
            f"--profile {wanted[0]} takes it"
        )
        return ""
    if replicas_of(service) == "0":
        file.notes.remark(f"left out: the service {name}: none of it runs (0 replicas)")
        return ""
    spec = ContainerSpec(
        image=image or f"of {name} (built)",
        place=place,
        name=text_of(service.get("container_name")) or name,
        entrypoint=entrypoint,
        command=command or [],
        folder=text_of(service.get("working_dir")),
    )
    take(spec, service, file)
    return spec


def _extended(service: Table, file: ComposeFile, depth: int) -> Table:
    """Return a service with the one that it extends under it."""
    extends = service.get("extends")
    if extends is None:
        return service
    place = Place(file.source, service.at("extends"))
    name = text_of(extends) or text_of(table_in(service, "extends").get("service"))
    other = text_of(table_in(service, "extends").get("file"))
    services = file.services
    if other:
        path = join(file.around.folder or "", other)
        text = file.around.files.read(path)
        if text is None:
            file.notes.refuse(place, f"extends: {other} cannot be read here: run this where it can")
            return service
        filled = Interpolation(file.variables, path, file.notes, file.around).value(
            _one(text, path)
        )
        services = table_in(filled, "services")
        if (below := posixpath.dirname(other)) and below != ".":
            services = seen_from(services, join(file.around.folder or "", below))
    base = services.get(name or "")
    if not isinstance(base, Table) or depth > 8:
        file.notes.refuse(place, f"extends: there is no service {name!r}")
        return service
    base = _extended(base, attrs.evolve(file, services=services), depth + 1)
    made = merged(base, service)
    made.line = service.line
    made.pop("extends", None)
    return made


def _command(value: Any) -> list[str] | None:
    if isinstance(value, Items):
        return [str(each) for each in value]
    text = text_of(value)
    return None if text is None else words_of(text)
