"""An image that is run, and the servers that it starts. Pure."""

import re
import shlex
from collections.abc import Mapping, Sequence

import attrs

from vllmd.importing.image import serves
from vllmd.importing.launch import Container, Launch, Mount
from vllmd.importing.prefixes import SHELLS
from vllmd.importing.serving import OF_PATH, speaks_of_serving
from vllmd.importing.shell.script import launches_of
from vllmd.importing.surroundings import Files, Notes, Surroundings
from vllmd.importing.unknown import Place, as_written, is_unknown

WORKSPACE = "/vllm-workspace"
"""Source: WORKDIR of vLLM's Dockerfile."""
_ENTRYPOINT = ("vllm", "serve")
CDI = "nvidia.com/gpu="
"""What a GPU's name begins with in a specification of CDI."""


@attrs.define(kw_only=True)
class ContainerSpec:
    """An image and what it is run with."""

    image: str
    place: Place
    name: str = ""
    entrypoint: list[str] | None = None
    """None: the image's own; empty: none."""
    command: list[str] = attrs.field(factory=list)
    variables: dict[str, str] = attrs.field(factory=dict)
    used: set[str] = attrs.field(factory=set)
    """Variables that the words around it had."""
    secret: set[str] = attrs.field(factory=set)
    """Variables that come out of a store of secrets."""
    mounts: list[Mount] = attrs.field(factory=list)
    files: dict[str, str] = attrs.field(factory=dict)
    """What is in files that no folder of the host has, by their paths inside."""
    published: dict[int, tuple[str, int]] = attrs.field(factory=dict)
    host_network: bool = False
    cluster: bool = False
    gpus: tuple[str, ...] | None = None
    """Those that it was given; None: all."""
    folder: str | None = None
    autostart: bool = True
    """It runs, and is not only there to be started."""
    remarks: list[str] = attrs.field(factory=list)

    def remark(self, text: str) -> None:
        """Note what is not taken over, and why."""
        if text not in self.remarks:
            self.remarks.append(text)

    def settle_gpus(self) -> None:
        """Let it have the GPUs that it was given, or those that NVIDIA's variable names."""
        given = tuple(each.removeprefix(CDI) for each in self.gpus or ())
        unsaid = self.gpus is None or "all" in given
        self.gpus = visible_of(self.variables) if unsaid else given


@attrs.frozen
class MountedFiles:
    """The files that a container sees on what is mounted from the host."""

    files: Files
    mounts: Sequence[Mount]
    given: Mapping[str, str]
    """The text of files that are in no folder of the host."""

    def read(self, path: str) -> str | None:
        """Return a file's text; None if it is not known here."""
        if path in self.given:
            return self.given[path]
        outside = self._outside(path)
        return None if outside is None else self.files.read(outside)

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder of the host."""
        outside = self._outside(folder)
        return () if outside is None else self.files.names(outside)

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder of the host is there."""
        outside = self._outside(path)
        return outside is not None and self.files.is_folder(outside)

    def _outside(self, path: str) -> str | None:
        for mount in sorted(self.mounts, key=lambda each: -len(each.inside)):
            inside = mount.inside.rstrip("/")
            if path == inside or path.startswith(f"{inside}/"):
                return mount.outside and mount.outside + path[len(inside) :]
        return None


def is_of_vllm(image: str, words: Sequence[str]) -> bool:
    """Tell whether an image, or what it is told to run, is a server of vLLM."""
    return serves(image) or "vllm" in image.split("@", maxsplit=1)[0] or speaks_of_serving(words)


def launches(spec: ContainerSpec, around: Surroundings, notes: Notes) -> list[Launch]:
    """Return the servers that a container starts; what keeps one from being known is noted."""
    words = _words(spec, notes)
    if words is None:
        return []
    inside = Surroundings(
        MountedFiles(around.files, spec.mounts, spec.files), spec.folder or WORKSPACE, home="/root"
    )
    found, unread = launches_of(
        shlex.join(words),
        spec.place,
        inside,
        notes,
        variables=spec.variables,
        used=spec.used,
    )
    if not found and not notes.problems:
        notes.refuse(spec.place, f"what {as_written(spec.image)} serves is not known here")
    if found and unread:
        listed = ", ".join(list(unread)[:12])
        spec.remark(f"run in the container beside it, and not looked into: {listed}")
    container = Container(
        image=spec.image,
        mounts=tuple(spec.mounts),
        published=dict(spec.published),
        host_network=spec.host_network,
        cluster=spec.cluster,
        home=spec.variables.get("HOME", "/root"),
    )
    return [
        attrs.evolve(
            each,
            name=spec.name,
            program=("vllm",),
            container=container,
            gpus=spec.gpus,
            secret=frozenset(spec.secret),
            autostart=spec.autostart,
            written={**spec.files, **each.written},
            remarks=(*(r for r in each.remarks if r != OF_PATH), *spec.remarks),
        )
        for each in found
    ]


def _words(spec: ContainerSpec, notes: Notes) -> list[str] | None:
    """Return the whole command: the entrypoint and what follows it."""
    if spec.entrypoint is not None:
        return [*spec.entrypoint, *spec.command]
    if serves(spec.image):
        if spec.command and _is_program(spec.command[0]):
            notes.refuse(
                spec.place,
                f"the entrypoint of {as_written(spec.image)} is 'vllm serve', which takes "
                f"{as_written(spec.command[0])!r} for its model: set the entrypoint to it, and "
                "import that",
            )
            return None
        if spec.command[:2] == ["vllm", "serve"]:
            spec.remark("'vllm serve' is the image's entrypoint already: it is taken once")
            return list(spec.command)
        return [*_ENTRYPOINT, *spec.command]
    if speaks_of_serving(spec.command):
        return list(spec.command)
    notes.refuse(
        spec.place,
        f"what the image {as_written(spec.image)} starts is not known here: write its ENTRYPOINT "
        "into the launcher (--entrypoint), or import the command within it: 'vllm serve MODEL …'",
    )
    return None


def _is_program(word: str) -> bool:
    """Tell what nobody names a model: a shell, Python, or the entrypoint's own second word."""
    name = word.rsplit("/", 1)[-1]
    return word == "serve" or name in SHELLS or bool(re.fullmatch(r"python[\d.]*", name))


def gpus_of(text: str) -> tuple[str, ...] | None:
    """Return the GPUs that ``--gpus`` or a variable of NVIDIA's toolkit names; None: all.

    Source: docker's opts/gpus.go; a number is so many from the first, daemon/nvidia_linux.go.
    """
    value = text.strip().strip("\"'").replace(CDI, "")
    for part in value.split(","):
        key, equals, first = part.strip().strip("\"'").partition("=")
        if equals and key in ("device", '"device'):
            rest = value[value.index(first) :].split(",")
            return tuple(each.strip("\"' ") for each in rest if "=" not in each)
        if equals and key == "count":
            return gpus_of(first)
    if value in ("all", "-1", ""):
        return None
    if value.isdigit():
        return tuple(str(index) for index in range(int(value)))
    return tuple(each.strip() for each in value.split(","))


def visible_of(variables: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the GPUs that NVIDIA's toolkit is told by a variable; None: all, or not told."""
    value = variables.get("NVIDIA_VISIBLE_DEVICES", "all")
    if value in ("all", "", "void") or is_unknown(value):
        return None
    return () if value == "none" else tuple(each.strip() for each in value.split(","))
