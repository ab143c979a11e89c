"""One service of a compose file, as the container that it is. Pure.

Source: the Compose specification.
"""

from collections.abc import Iterator
from typing import Any

import attrs

from vllmd.importing.containers.dotenv import dotenv, raw_variables
from vllmd.importing.containers.options import (
    HEALTH,
    OF_ANOTHER,
    RESTART,
    SHARED_MEMORY,
    assign,
    device,
    mount,
    publish,
    volume,
)
from vllmd.importing.containers.spec import ContainerSpec, gpus_of
from vllmd.importing.launch import Mount
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unknown import Place, as_written, is_unknown
from vllmd.importing.yaml_values import Items, Table, Text, items_in, table_in, text_of

_OF_CONTAINERS = frozenset(
    {"networks", "depends_on", "labels", "logging", "security_opt", "cap_add", "privileged"}
    | {"group_add", "extra_hosts", "links", "configs", "runtime"}
    | {"pull_policy", "platform", "hostname", "expose", "init", "tty", "stdin_open"}
)
"""Keys that mean nothing outside of a container, or what vllmd does by itself."""
_KNOWN = frozenset(
    {"image", "build", "container_name", "command", "entrypoint", "environment", "env_file"}
    | {"ports", "volumes", "network_mode", "deploy", "gpus", "devices", "ipc", "shm_size"}
    | {"profiles", "restart", "healthcheck", "working_dir", "extends", "scale", "user", "secrets"}
    | {"annotations", "attach", "stop_signal"}
    | _OF_CONTAINERS
)
"""Keys that are read, or of which nothing has to be said one by one."""
_OF_RESERVATIONS = frozenset({"devices", "cpus", "memory", "pids"})
_OF_DEPLOY = frozenset(
    {"resources", "replicas", "mode", "restart_policy", "update_config", "rollback_config"}
    | {"labels", "endpoint_mode"}
)


@attrs.frozen
class ComposeFile:
    """One compose file, and what its services are read with."""

    services: Table
    volumes: Table
    secrets: Table
    configs: Table
    source: str
    around: Surroundings
    notes: Notes
    variables: dict[str, str]


def take(spec: ContainerSpec, service: Table, file: ComposeFile) -> None:
    """Put what a service says into the container that it is."""
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
    spec.host_network = _network(mode, spec, file, Place(file.source, service.at("network_mode")))
    _gpus(spec, service, notes, file.source)
    _remarks(spec, service, notes)


def _network(mode: str, spec: ContainerSpec, file: ComposeFile, place: Place) -> bool:
    """Take the ports of the service whose network it shares; tell whether it is the host's."""
    seen: set[str] = set()
    while mode.startswith("service:") and mode not in seen:
        seen.add(mode)
        name = mode.removeprefix("service:")
        other = table_in(file.services.get(name))
        ports = [_port(each) for each in items_in(other, "ports")]
        if all(port.endswith("/udp") for port in ports) and "network_mode" not in other:
            break  # it lets others in by a way of its own, such as a VPN
        for port in ports:
            publish(port, spec, file.notes, place)
        spec.remark(f"network_mode: {mode}: the ports are those that {name} publishes")
        mode = text_of(other.get("network_mode")) or ""
    if mode.startswith(("service:", "container:")):
        file.notes.refuse(place, f"network_mode: {mode}: {OF_ANOTHER}")
    return mode == "host"


def _remarks(spec: ContainerSpec, service: Table, notes: Notes) -> None:
    """Note what vllmd does by itself, and what it leaves out."""
    if service.get("ipc") is not None:
        spec.remark(SHARED_MEMORY.format(f"ipc: {service['ipc']}"))
    if service.get("shm_size") is not None:
        spec.remark(SHARED_MEMORY.format(f"shm_size: {service['shm_size']}"))
    if (grace := text_of(service.get("stop_grace_period"))) is not None:
        spec.remark(f"stop_grace_period: {grace}: see drain_s and stop_grace_s")
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
    _placement(spec, table_in(service, "deploy"))
    only = [key for key in service if key in _OF_CONTAINERS]
    if only:
        spec.remark(f"of the container only: {', '.join(only)}")
    for key in service:
        if key not in _KNOWN and not key.startswith("x-"):
            spec.remark(f"left out: {key}: {_short(service[key])}: of the container")
    replicas = replicas_of(service)
    if replicas not in (None, "1"):
        notes.refuse(spec.place, f"{replicas} replicas of {spec.name}: write a service for each")


def _placement(spec: ContainerSpec, deploy: Table) -> None:
    """Say what chose a host and its GPUs, and is not read."""
    reserved = table_in(deploy, "resources", "reservations")
    for path, table, known in (
        ("deploy", deploy, _OF_DEPLOY),
        ("deploy.resources.reservations", reserved, _OF_RESERVATIONS),
    ):
        for key in table:
            if key not in known:
                spec.remark(
                    f"left out: {path}.{key}: {_short(table[key])}: which host and which GPUs it "
                    "has is not known of it: env.CUDA_VISIBLE_DEVICES may say"
                )


def replicas_of(service: Table) -> str | None:
    """Return how many of a service run, as it is written; None where it is not said."""
    return text_of(service.get("scale")) or text_of(table_in(service, "deploy").get("replicas"))


def _short(value: Any) -> str:
    return as_written(str(value))[:60]


def _environment(spec: ContainerSpec, service: Table, file: ComposeFile) -> None:
    listed = service.get("env_file")
    for each in listed if isinstance(listed, Items) else [listed] if listed is not None else []:
        path = text_of(table_in(each).get("path")) if isinstance(each, Table) else text_of(each)
        required = not isinstance(each, Table) or text_of(each.get("required")) != "false"
        text = file.around.files.read(join(file.around.folder or "", path or ""))
        if text is not None:
            raw = isinstance(each, Table) and text_of(each.get("format")) == "raw"
            read = (
                raw_variables(text) if raw else dotenv(text, path or "", file.variables, file.notes)
            )
            spec.variables |= read
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


def _secrets(spec: ContainerSpec, service: Table, file: ComposeFile) -> None:
    """Mount the files that secrets are of. Source: the Compose specification, `secrets`."""
    for each in items_in(service, "secrets"):
        given = table_in(each)
        name = text_of(given.get("source")) if given else text_of(each)
        target = text_of(given.get("target")) or name or ""
        inside = target if target.startswith("/") else f"/run/secrets/{target}"
        path = text_of(table_in(file.secrets.get(name or "")).get("file"))
        outside = None if path is None else join(file.around.folder or "", path)
        spec.mounts.append(Mount(inside, outside, f"the secret {name!r} of compose"))


def _configs(spec: ContainerSpec, service: Table, file: ComposeFile) -> None:
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


def _volume(source: str, target: str, spec: ContainerSpec, file: ComposeFile, place: Place) -> None:
    mount(source, target, spec, file.around, place)
    _bound(spec, file)


def _bound(spec: ContainerSpec, file: ComposeFile) -> None:
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
    spec.gpus = chosen
    for each in map(str, items_in(service, "devices")):
        device(each, f"devices: {as_written(each)}", spec)
    spec.settle_gpus()
