"""A compose file, as the containers of its services. Pure.

Source: the Compose specification.
"""

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.containers.compose_merge import merged, seen_from
from vllmd.importing.containers.interpolation import Interpolation
from vllmd.importing.containers.options import (
    HEALTH,
    OF_ANOTHER,
    RESTART,
    SHARED_MEMORY,
    assign,
    mount,
    publish,
    volume,
)
from vllmd.importing.containers.spec import ContainerSpec, gpus_of, is_of_vllm, visible_of
from vllmd.importing.launch import Mount
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unit import variables_in
from vllmd.importing.unknown import Place, as_written, is_unknown, words_of
from vllmd.importing.yaml_values import Items, Table, Text, documents, items_in, table_in, text_of

_OVERRIDES = {
    "compose.yaml": ("compose.override.yaml", "compose.override.yml"),
    "compose.yml": ("compose.override.yml", "compose.override.yaml"),
    "docker-compose.yml": ("docker-compose.override.yml", "docker-compose.override.yaml"),
    "docker-compose.yaml": ("docker-compose.override.yaml", "docker-compose.override.yml"),
}
_SILENT = frozenset(
    {
        "image",
        "build",
        "container_name",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "ports",
    }
    | {"volumes", "network_mode", "networks", "deploy", "gpus", "runtime", "ipc", "shm_size"}
    | {
        "profiles",
        "restart",
        "healthcheck",
        "working_dir",
        "extends",
        "depends_on",
        "labels",
        "tty",
    }
    | {"stdin_open", "init", "logging", "pull_policy", "platform", "hostname", "expose", "devices"}
    | {
        "security_opt",
        "cap_add",
        "privileged",
        "group_add",
        "extra_hosts",
        "scale",
        "user",
        "annotations",
    }
    | {"stop_grace_period", "stop_signal", "links", "attach", "secrets", "configs"}
)

_OF_CONTAINERS = frozenset(
    {"networks", "depends_on", "labels", "logging", "security_opt", "cap_add", "privileged"}
    | {"group_add", "extra_hosts", "links", "configs", "stop_grace_period", "runtime"}
    | {"pull_policy", "platform", "hostname", "expose", "init", "tty", "stdin_open"}
)
"""Keys that mean nothing outside of a container, or what vllmd does by itself."""


@attrs.frozen
class _File:
    """One compose file, and what its services are read with."""

    services: Table
    volumes: Table
    secrets: Table
    configs: Table
    source: str
    around: Surroundings
    notes: Notes
    variables: dict[str, str]


def is_compose(table: Table) -> bool:
    """Tell a compose file from other YAML."""
    return isinstance(table.get("services"), Table)


def specs_of_compose(
    table: Table,
    path: str,
    profiles: Sequence[str],
    around: Surroundings,
    notes: Notes,
) -> list[ContainerSpec]:
    """Return the containers of vLLM's services; those of others are named.

    Relative paths are seen from the file's folder, as compose does.
    """
    folder = posixpath.dirname(path) if path.startswith("/") else around.folder
    around = attrs.evolve(around, folder=folder)
    text = around.files.read(join(folder, ".env")) if folder else None
    variables = variables_in(text or "")
    if named := variables.get("COMPOSE_PROFILES"):
        notes.remark(f"COMPOSE_PROFILES={named} of .env is taken, as compose does")
        profiles = [*profiles, *named.split(",")]
    if "COMPOSE_FILE" in variables:
        notes.refuse(
            Place(join(folder or "", ".env"), 1),
            "COMPOSE_FILE names the files: take the line out, and give what 'docker compose "
            "config' prints",
        )
    for name in _OVERRIDES.get(posixpath.basename(path), ()):
        other = around.files.read(join(folder, name)) if folder else None
        if other is not None:
            notes.remark(f"{name} beside it is read too, as compose does")
            table = merged(table, _one(other, name))
            break
    if "include" in table:
        notes.refuse(Place(path, table.at("include")), "'include' is not read: give the whole file")
    filled = Interpolation(variables, path, notes, around).value(table)
    file = _File(
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
    for name, service in file.services.items():
        spec = _spec(name, service, profiles, file)
        if isinstance(spec, ContainerSpec):
            found.append(spec)
        elif spec:
            others.append(spec)
    if others and found:
        notes.remark(f"left out: services that are not vLLM: {', '.join(others)}")
    return found


def _one(text: str, source: str) -> Table:
    found = documents(text, source)
    if len(found) != 1 or not isinstance(found[0], Table):
        raise VllmdError(f"{source}: it is no compose file")
    return found[0]


def _spec(name: str, service: Any, profiles: Sequence[str], file: _File) -> ContainerSpec | str:
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
    if _replicas(service) == "0":
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
    _take(spec, service, file)
    return spec


def _extended(service: Table, file: _File, depth: int) -> Table:
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


def _take(spec: ContainerSpec, service: Table, file: _File) -> None:
    around, notes = file.around, file.notes
    _environment(spec, service, file)
    for each in items_in(service, "ports"):
        place = Place(file.source, getattr(each, "line", service.at("ports")))
        publish(_port(each), spec, notes, place)
    for each in items_in(service, "volumes"):
        place = Place(file.source, getattr(each, "line", service.at("volumes")))
        if isinstance(each, Table):
            source = text_of(each.get("source")) or "without a name"
            if text_of(each.get("type")) != "tmpfs":
                _volume(source, text_of(each.get("target")) or "/", spec, file, place)
        elif isinstance(each, Text) and ":" in each:
            volume(each, spec, around, place)
            _bound(spec, file)
    _secrets(spec, service, file)
    _configs(spec, service, file)
    mode = text_of(service.get("network_mode")) or ""
    if mode.startswith(("service:", "container:")):
        place = Place(file.source, service.at("network_mode"))
        notes.refuse(place, f"network_mode: {mode}: {OF_ANOTHER}")
    spec.host_network = mode == "host"
    _gpus(spec, service, notes, file.source)
    _remarks(spec, service, notes)


def _remarks(spec: ContainerSpec, service: Table, notes: Notes) -> None:
    """Note what vllmd does by itself, and what it leaves out."""
    if service.get("ipc") is not None:
        spec.remark(SHARED_MEMORY.format(f"ipc: {service['ipc']}"))
    if service.get("shm_size") is not None:
        spec.remark(SHARED_MEMORY.format(f"shm_size: {service['shm_size']}"))
    if (restart := text_of(service.get("restart"))) not in (None, "no"):
        spec.remark(RESTART.format(f"restart: {restart}"))
    if "healthcheck" in service:
        spec.remark(HEALTH.format("healthcheck"))
    if (user := text_of(service.get("user"))) is not None:
        spec.remark(f"user: {user}: engines run as user vllmd: let it read the model and the cache")
    limits = table_in(service, "deploy", "resources", "limits")
    if limits:
        listed = ", ".join(f"{name}: {value}" for name, value in limits.items())
        spec.remark(f"left out: {listed}: 'systemctl edit vllmd-engine@NAME' sets limits")
    only = [key for key in service if key in _OF_CONTAINERS]
    if only:
        spec.remark(f"of the container only: {', '.join(only)}")
    for key in service:
        if key not in _SILENT and not key.startswith("x-"):
            spec.remark(f"left out: {key}: {_short(service[key])}: of the container")
    replicas = _replicas(service)
    if replicas not in (None, "1"):
        notes.refuse(spec.place, f"{replicas} replicas of {spec.name}: write a service for each")


def _replicas(service: Table) -> str | None:
    return text_of(service.get("scale")) or text_of(table_in(service, "deploy").get("replicas"))


def _short(value: Any) -> str:
    return as_written(str(value))[:60]


def _environment(spec: ContainerSpec, service: Table, file: _File) -> None:
    listed = service.get("env_file")
    for each in listed if isinstance(listed, Items) else [listed] if listed is not None else []:
        path = text_of(table_in(each).get("path")) if isinstance(each, Table) else text_of(each)
        required = not isinstance(each, Table) or text_of(each.get("required")) != "false"
        text = file.around.files.read(join(file.around.folder or "", path or ""))
        if text is not None:
            filled = Interpolation(file.variables, path or "", file.notes)
            for name, value in variables_in(text).items():
                spec.variables[name] = filled.text(value, Place(path or "", 1))
        elif required:
            place = Place(file.source, service.at("env_file"))
            file.notes.refuse(place, f"env_file {path} cannot be read here: run this where it can")
    given = service.get("environment")
    for each in _assignments(given):
        assign(each, spec, file.variables, Place(file.source, service.at("environment")))


def _assignments(given: Any) -> Iterator[str]:
    if isinstance(given, Table):
        for name, value in given.items():
            text = text_of(value)
            yield name if text is None else f"{name}={text}"
    elif isinstance(given, Items):
        yield from (str(each) for each in given)


def _secrets(spec: ContainerSpec, service: Table, file: _File) -> None:
    """Mount the files that secrets are of. Source: the Compose specification, `secrets`."""
    for each in items_in(service, "secrets"):
        given = table_in(each)
        name = text_of(given.get("source")) if given else text_of(each)
        target = text_of(given.get("target")) or name or ""
        inside = target if target.startswith("/") else f"/run/secrets/{target}"
        path = text_of(table_in(file.secrets.get(name or "")).get("file"))
        outside = None if path is None else join(file.around.folder or "", path)
        spec.mounts.append(Mount(inside, outside, f"the secret {name!r} of compose"))


def _configs(spec: ContainerSpec, service: Table, file: _File) -> None:
    """Mount the files that configs are of, or what they have themselves."""
    for each in items_in(service, "configs"):
        given = table_in(each)
        name = (text_of(given.get("source")) if given else text_of(each)) or ""
        target = text_of(given.get("target")) or f"/{name}"
        config = table_in(file.configs.get(name))
        path = text_of(config.get("file"))
        if path is not None:
            outside = join(file.around.folder or "", path)
            spec.mounts.append(Mount(target, outside, f"the config {name!r} of compose"))
        elif (content := text_of(config.get("content"))) is not None:
            spec.files[target] = content


def _port(each: Any) -> str:
    if not isinstance(each, Table):
        return str(each)
    address, outside = text_of(each.get("host_ip")), text_of(each.get("published"))
    inside = text_of(each.get("target"))
    return ":".join(part for part in (address, outside, inside) if part)


def _volume(source: str, target: str, spec: ContainerSpec, file: _File, place: Place) -> None:
    mount(source, target, spec, file.around, place)
    _bound(spec, file)


def _bound(spec: ContainerSpec, file: _File) -> None:
    """Let a volume that is bound to a folder by its options be that folder."""
    last = spec.mounts[-1]
    if last.outside is None:
        for name, options in file.volumes.items():
            device = text_of(table_in(options, "driver_opts").get("device"))
            if f"{name!r}" in last.what and device:
                spec.mounts[-1] = attrs.evolve(last, outside=device)


def _gpus(spec: ContainerSpec, service: Table, notes: Notes, source: str) -> None:
    devices = items_in(service, "deploy", "resources", "reservations", "devices")
    given = service.get("gpus")
    devices = [*devices, *(given if isinstance(given, Items) else [])]
    chosen: tuple[str, ...] | None = None
    for each in devices:
        ids = [str(one) for one in items_in(each, "device_ids")]
        count = text_of(table_in(each).get("count"))
        if any(map(is_unknown, [*ids, count or ""])):
            notes.refuse(Place(source, service.at("deploy")), "which GPUs it has is not known here")
        elif ids:
            chosen = (*(chosen or ()), *(part for one in ids for part in one.split(",")))
        elif count is not None and count != "all":
            chosen = gpus_of(count)
    for each in items_in(service, "devices"):
        kind, _, name = str(each).partition("nvidia.com/gpu=")
        if not kind and name and name != "all":
            chosen = (*(chosen or ()), name)
    spec.gpus = chosen if chosen is not None else visible_of(spec.variables)
