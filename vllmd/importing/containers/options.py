"""Ports, volumes and options of containers, as docker and podman write them. Pure."""

import re

from vllmd.importing.containers.spec import CDI, ContainerSpec
from vllmd.importing.launch import Mount
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unknown import Place, as_written, is_unknown, mark

_PORT = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|[^:]*):)?(?:(?P<outside>[\d-]*):)?(?P<inside>[\d-]+)(?:/(?P<kind>\w+))?"
)
SHARED_MEMORY = (
    "{}: a container has 64 MB of /dev/shm, and the host half of its memory: nothing is to be set"
)
RESTART = "{}: vllmd restarts an engine whatever its exit code, by its cause"
OF_ANOTHER = (
    "what it shares its network with publishes the ports: write them here (-p OUTSIDE:INSIDE)"
)
HEALTH = "{}: vllmd has /ready/NAME, and looks at more than /health"


def publish(text: str, spec: ContainerSpec, notes: Notes, place: Place) -> None:
    """Take a published port: ``[[IP:]OUTSIDE:]INSIDE[/tcp]``."""
    if is_unknown(text):
        address, colon, inside = text.rpartition(":")
        if colon and inside.isdigit():
            notes.refuse(place, f"the port that {as_written(text)} publishes is not known here")
            return
    found = _PORT.fullmatch(text)
    if found is None:
        notes.refuse(place, f"{as_written(text)!r} is no port that is read")
        return
    if found["kind"] not in (None, "tcp"):
        return
    address = (found["ip"] or "").strip("[]")
    if re.fullmatch(r"[\d-]+", address):  # OUTSIDE:INSIDE, read as an address
        address, outside = "", found["ip"]
    else:
        outside = found["outside"] or ""
    insides, outsides = _range(found["inside"]), _range(outside)
    if not outsides:
        notes.refuse(place, f"port {text}: which port of the host it has is chosen when it is run")
        return
    for one, other in zip(insides, outsides, strict=False):
        now = ("" if address in ("0.0.0.0", "::") else address, other)
        before = spec.published.setdefault(one, now)
        if before != now:
            spec.remark(
                f"port {one} of the container was published at {_written(now)} too: an engine has "
                f"one, and its clients ask {_written(before)}"
            )


def _written(published: tuple[str, int]) -> str:
    return f"{published[0] or '*'}:{published[1]}"


def _range(text: str) -> range:
    if not text:
        return range(0)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def volume(text: str, spec: ContainerSpec, around: Surroundings, place: Place) -> None:
    """Take a volume: ``[OUTSIDE:]INSIDE[:OPTIONS]``."""
    parts = _colons(text)
    if len(parts) == 1:
        _put(Mount(parts[0].rstrip("/") or "/", None, "a volume without a name"), spec)
        return
    mount(parts[0], parts[1], spec, around, place)


def mount(
    outside: str, inside: str, spec: ContainerSpec, around: Surroundings, place: Place
) -> None:
    """Mount a folder of the host, or a volume by its name."""
    inside = inside.rstrip("/") or "/"
    if outside == "~" or outside.startswith("~/"):
        outside = around.home_at(place) + outside[1:]
    if re.match(r"\.{1,2}(/|$)", outside):
        folder = around.folder_at(outside, place)
        outside = folder if is_unknown(folder) else join(folder, outside)
    if outside.startswith("/") or is_unknown(outside):
        _put(Mount(inside, outside, f"the folder {as_written(outside)}"), spec)
    else:
        what = (
            f"the volume {outside!r} ('docker volume inspect {outside}' says where that is: "
            "its Mountpoint)"
        )
        _put(Mount(inside, None, what), spec)


def _put(mount: Mount, spec: ContainerSpec) -> None:
    """Mount; what was at the same place before is under it."""
    spec.mounts[:] = [*(each for each in spec.mounts if each.inside != mount.inside), mount]


_ONE_GPU = re.compile(r"/dev/(nvidia\d+|dri/(renderD|card)\d+|accel/\w+)|[\w.]+/gpu=\S+")


def device(path: str, what: str, spec: ContainerSpec) -> None:
    """Take a GPU by its name; of one that is given by its file the number is not known: say so."""
    if path.startswith(CDI):
        spec.gpus = (*(spec.gpus or ()), path)
        return
    outside = path.partition(":")[0]
    if _ONE_GPU.fullmatch(outside) and not outside.endswith("=all"):
        name = "CUDA_VISIBLE_DEVICES" if "nvidia" in outside else "HIP_VISIBLE_DEVICES"
        spec.remark(
            f"{what}: one GPU of the host: set env.{name} to its number: without it vLLM takes the "
            "first"
        )


def _colons(text: str) -> list[str]:
    """Return the parts of a volume; marks may have colons."""
    return re.split(r":(?![^\ue000]*\ue002)", text)


def assign(text: str, spec: ContainerSpec, inherited: dict[str, str], place: Place) -> None:
    """Take a variable: ``NAME=VALUE``, or ``NAME`` of who runs it."""
    name, equals, value = text.partition("=")
    if not equals:
        reason = "it is of who ran it, which is not known here"
        value = inherited.get(name) or mark(f"${name}", reason, place)
    spec.variables[name] = value
