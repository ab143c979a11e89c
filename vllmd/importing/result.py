"""What launchers start, as engines with names, secrets, and what to do next. Pure."""

import re
from collections.abc import Iterator, Sequence

import attrs

from vllmd.importing.engine import table_of
from vllmd.importing.image import version_of
from vllmd.importing.launch import Launch
from vllmd.importing.placing import DEFAULT_PORT
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.table import EngineTable, of_secret
from vllmd.installing.plan import SUPPORTED, VERSION, is_supported

MAX_NAME = 32


@attrs.frozen
class Engine:
    """One engine that is taken over."""

    name: str
    launch: Launch
    table: EngineTable


@attrs.frozen
class Secret:
    """A secret that belongs into a file of its own."""

    file: str
    """Its name in /etc/vllmd/credentials."""
    value: str | None = attrs.field(repr=False)
    """None where it is not known here."""
    source: str
    """Where it comes from, for people."""


def engines_of(
    launches: Sequence[Launch], name: str | None, around: Surroundings, notes: Notes
) -> list[Engine]:
    """Return the engines, each with a name of its own; what cannot be taken over is noted."""
    taken: dict[str, Engine] = {}
    for launch in launches:
        wanted = name or _name_of(launch.name) or "main"
        own = wanted
        number = 2
        while own in taken:
            own = f"{wanted[: MAX_NAME - 4]}-{number}"
            number += 1
        taken[own] = Engine(own, launch, table_of(launch, around, notes))
    _part_ports(list(taken.values()))
    _name_files(list(taken.values()))
    return list(taken.values())


def _part_ports(engines: Sequence[Engine]) -> None:
    """Let engines that each had an address of their own have a port of their own on this host."""
    own = [each for each in engines if each.table.own_address]
    used = {each.table.keys.get("port", DEFAULT_PORT) for each in engines if each not in own}
    for each in own:
        keys = each.table.keys
        before = port = keys.get("port", DEFAULT_PORT)
        while port in used:
            port += 1
        used.add(port)
        if port != before:
            keys["port"] = port
            reason = (
                f"each container had an address of its own, and on this host port {before} is of "
                f"another engine: clients of {each.name} ask port {port}"
            )
            each.table.reasons["--port"] = reason
            each.table.remarks.append(f"port: {reason}")


def _name_files(engines: Sequence[Engine]) -> None:
    """Let reasons name the files that secrets of one engine alone have."""
    for secret in secrets_of(engines):
        for each in engines:
            if not secret.file.endswith(f".{each.name}"):
                continue
            kind = secret.file.removesuffix(f".{each.name}")
            reasons = each.table.reasons
            own = {name: why for name, why in reasons.items() if why == of_secret(kind)}
            reasons |= dict.fromkeys(own, of_secret(secret.file))


def _name_of(text: str) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    return name[:MAX_NAME]


def secrets_of(engines: Sequence[Engine]) -> Iterator[Secret]:
    """Yield each secret once: for all engines where they have the same, else for each."""
    kinds = dict.fromkeys(kind for engine in engines for kind in engine.table.secrets)
    for kind in kinds:
        having = [engine for engine in engines if kind in engine.table.secrets]
        values = {engine.table.secrets[kind] for engine in having}
        common = len(having) == len(engines) and len(values) == 1
        for engine in having[:1] if common else having:
            file = kind if common else f"{kind}.{engine.name}"
            source = engine.table.sources.get(kind, "")
            yield Secret(file, engine.table.secrets[kind], source)


def versions_of(engines: Sequence[Engine]) -> list[str]:
    """Return the versions of vLLM that the images name, each once."""
    images = [each.launch.container.image for each in engines if each.launch.container]
    found = [version_of(image) for image in images]
    return list(dict.fromkeys(version for version in found if version))


def about_versions(engines: Sequence[Engine]) -> Iterator[str]:
    """Yield what is to be known of the versions that images name."""
    for each in engines:
        container = each.launch.container
        if container is None:
            continue
        version = version_of(container.image)
        if container.image.endswith("(built)"):
            yield (
                f"the image {container.image} names no version of vLLM: 'vllmd engine install' "
                f"takes {VERSION}; its Dockerfile says which it is"
            )
        elif version is None:
            yield (
                f"the image {container.image} names no version of vLLM: 'vllmd engine install' "
                f"takes {VERSION}; 'docker run --rm --entrypoint vllm {container.image} "
                "--version' says which it is"
            )
        elif not is_supported(version):
            yield _about_other(version)


def _about_other(version: str) -> str:
    """Say why a version of vLLM is not the one that is installed next, and what may differ."""
    first, last = (".".join(map(str, each)) for each in SUPPORTED)
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:2])
    if numbers < SUPPORTED[0]:
        return (
            f"the image's vLLM is {version}, and vllmd needs {first} or later: it stops an engine "
            "with --shutdown-timeout, and reads its metrics and its output as versions from there "
            f"on have them. The next command installs {VERSION}, which may behave otherwise than "
            f"{version}: defaults, chat templates, scheduling and what fits into memory have "
            "changed; ask it what your clients ask (vllmd ask) before they do"
        )
    return (
        f"the image's vLLM is {version}, and vllmd was tested up to {last}: the next command "
        f"installs {VERSION}, and 'vllmd engine install {version}' takes the newer one, with which "
        "vllmd may know less of what it says"
    )


def next_steps(engines: Sequence[Engine], config: str | None) -> list[str]:
    """Return the commands that come next."""
    versions = versions_of(engines)
    installed = [version if is_supported(version) else VERSION for version in versions]
    steps = [f"vllmd engine install {version}" for version in dict.fromkeys(installed)]
    if not steps and any(each.launch.container for each in engines):
        steps = ["vllmd engine install"]
    given = f" --config {config}" if config else ""
    return [*steps, f"vllmd check{given}", f"vllmd doctor{given}"]
