"""A quadlet of podman: a unit of systemd with a container, as its `podman run`. Pure.

Source: podman-systemd.unit(5).
"""

import re
import shlex
from collections.abc import Iterable

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.containers.docker_run import spec_of
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.ini import IniValue, settings_of
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unit import (
    drop_ins,
    filled,
    in_force,
    is_of_system,
    specified,
    split,
    variables_of,
)
from vllmd.importing.unknown import Place

_OPTIONS = {
    "PublishPort": "--publish",
    "Volume": "--volume",
    "Environment": "--env",
    "EnvironmentFile": "--env-file",
    "AddDevice": "--device",
    "Network": "--network",
    "ContainerName": "--name",
    "ShmSize": "--shm-size",
    "User": "--user",
    "WorkingDir": "--workdir",
    "Entrypoint": "--entrypoint",
    "Mount": "--mount",
    "Secret": "--secret",
    "HealthCmd": "--health-cmd",
    "Ulimit": "--ulimit",
    "AddCapability": "--cap-add",
    "Tmpfs": "--tmpfs",
    "Memory": "--memory",
    "StopTimeout": "--stop-timeout",
}
_SEVERAL = frozenset(_OPTIONS) - {"ContainerName", "ShmSize", "User", "WorkingDir", "Entrypoint"}
_SEVERAL |= {"PodmanArgs", "GlobalArgs", "Label", "Annotation", "UnsetEnvironment"}
_SEVERAL |= {"ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost"}
"""Keys that may be given more than once. Source: podman-systemd.unit(5)."""
_FOLDERS = ("/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd")
_SPACED = {"Environment"}
"""Keys whose value is several words."""


def is_quadlet(text: str) -> bool:
    """Tell a quadlet from other units."""
    return bool(re.search(r"^\s*\[Container\]\s*$", text, re.MULTILINE))


def spec_of_quadlet(
    text: str, path: str, around: Surroundings, notes: Notes
) -> ContainerSpec | None:
    """Return what a quadlet runs; None if that is not read, which is noted.

    Raises: VllmdError: it names no image.
    """
    options: list[str] = []
    image, command, line = "", "", 1
    if is_of_system(text, path):
        around = attrs.evolve(around, manager_home="/root")
    sources = [(path, text), *drop_ins(path, around, _FOLDERS)]
    given = [each for source, content in sources for each in settings_of(content, source)]
    service = in_force((each for each in given if each.section == "Service"), _SEVERAL)
    container = in_force((each for each in given if each.section == "Container"), _SEVERAL)
    unit = re.sub(r"\.container$", ".service", path)
    variables = variables_of(service, unit, around, notes)
    _note(service, notes)
    for each in container:
        value = specified(each.value, unit, each, around)
        match each.key:
            case "Image":
                image, line = _image(value, path, around), each.line
            case "Pod":
                notes.refuse(
                    Place(each.source, each.line),
                    f"Pod={value}: its ports are published by {value}: write PublishPort= here",
                )
            case "Exec":
                command = value
            case "PodmanArgs" | "GlobalArgs":
                options += shlex.split(value) if each.key == "PodmanArgs" else []
            case _ if each.key in _OPTIONS:
                words = shlex.split(value) if each.key in _SPACED else [value]
                words = [_volume(w, path, around) for w in words] if each.key == "Volume" else words
                options += [part for word in words for part in (_OPTIONS[each.key], word)]
            case (
                "AutoUpdate" | "Label" | "Pull" | "Annotation" | "LogDriver" | "Notify" | "HostName"
            ):
                pass
            case _:
                notes.remark(f"left out: {each.key}={each.value}: of the container")
    if not image:
        raise VllmdError(f"{path}: the quadlet has no Image=")
    # quadlet makes ExecStart= of it, whose variables are those of [Service]
    place = Place(path, line)
    filled_in = [filled(raw, variables, place) for raw in split(command)]
    words = [*options, image, *(word for words, _ in filled_in for word in words)]
    spec = spec_of(words, place, around, notes, {})
    if spec is not None:
        spec.used.update(*(names for _, names in filled_in))
    return spec


def _image(named: str, path: str, around: Surroundings) -> str:
    """Return an image; of one that a unit beside it pulls, what that names."""
    if not named.endswith(".image"):
        return named
    return _of_unit_beside(named, "Image", "Image", path, around) or named


def _volume(given: str, path: str, around: Surroundings) -> str:
    """Return a volume, with its own name where a unit beside makes it.

    Source: podman-systemd.unit(5).
    """
    named, colon, rest = given.partition(":")
    if not named.endswith(".volume"):
        return given
    own = _of_unit_beside(named, "Volume", "VolumeName", path, around)
    return f"{own or 'systemd-' + named.removesuffix('.volume')}{colon}{rest}"


def _of_unit_beside(name: str, section: str, key: str, path: str, around: Surroundings) -> str:
    beside = join(around.folder_of(path) or "", name)
    text = around.files.read(beside) if beside.startswith("/") else None
    settings = settings_of(text or "", beside)
    return next((e.value for e in settings if (e.section, e.key) == (section, key)), "")


def _note(service: Iterable[IniValue], notes: Notes) -> None:
    for each in service:
        if each.key == "Restart":
            notes.remark("Restart=: vllmd restarts an engine whatever its exit code, by its cause")
        elif each.key.startswith("Exec"):
            notes.remark(f"left out: {each.key}={each.value}: vllmd runs nothing beside an engine")
