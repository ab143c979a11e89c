"""A quadlet of podman: a unit of systemd with a container, as its `podman run`. Pure.

Source: podman-systemd.unit(5).
"""

import re
import shlex

from vllmd.errors import VllmdError
from vllmd.importing.containers.docker_run import spec_of
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.ini import settings_of
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unit import filled, split, variables_of
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
}
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
    settings = settings_of(text, path)
    service = [each for each in settings if each.section == "Service"]
    variables = variables_of(service, path, around, notes)
    for each in settings:
        if each.section == "Service" and each.key == "Restart":
            notes.remark("Restart=: vllmd restarts an engine whatever its exit code, by its cause")
        if each.section == "Service" and each.key.startswith("Exec"):
            notes.remark(f"left out: {each.key}={each.value}: vllmd runs nothing beside an engine")
        if each.section != "Container":
            continue
        value = each.value.replace("%h", around.home or "~").replace("%%", "%")
        match each.key:
            case "Image":
                image, line = value, each.line
            case "Exec":
                command = value
            case "PodmanArgs" | "GlobalArgs":
                options += shlex.split(value) if each.key == "PodmanArgs" else []
            case _ if each.key in _OPTIONS:
                words = shlex.split(value) if each.key in _SPACED else [value]
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
    given = [filled(raw, variables, place) for raw in split(command)]
    words = [*options, image, *(word for words, _ in given for word in words)]
    spec = spec_of(words, place, around, notes, {})
    if spec is not None:
        spec.used.update(*(names for _, names in given))
    return spec
