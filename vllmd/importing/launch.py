"""What is run, as it was found. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from vllmd.importing.unknown import Place

_NONE: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class Mount:
    """A folder of a container."""

    inside: str
    outside: str | None
    """Its path on the host; None if it has none that is known."""
    what: str
    """What it is, for people."""


@attrs.frozen(kw_only=True)
class Container:
    """What was around a command in a container."""

    image: str
    mounts: tuple[Mount, ...] = ()
    published: Mapping[int, tuple[str, int]] = MappingProxyType({})
    """The host's address and port of each port inside."""
    host_network: bool = False
    cluster: bool = False
    """It is a pod: its ports are reached as they are, at its own address."""
    home: str = "/root"


@attrs.frozen(kw_only=True)
class Launch:
    """One command that serves."""

    program: tuple[str, ...]
    """What stands for vllm: a path, or Python and a module."""
    arguments: tuple[str, ...]
    """From the first after `serve` on."""
    ran: tuple[str, ...] = ()
    """The words that were run, from the program on; empty if they are these two."""
    variables: Mapping[str, str] = _NONE
    """What is set for it."""
    place: Place
    name: str = ""
    """Of its container, service or program, if it has one."""
    folder: str | None = None
    """Its working directory: within the container, if there is one."""
    container: Container | None = None
    home: str | None = None
    """The home that it was given, outside of containers."""
    gpus: tuple[str, ...] | None = None
    """The GPUs of the host that its container was given, by index or UUID; None: all."""
    secret: frozenset[str] = frozenset()
    """Variables that came out of a store of secrets, whatever their names are."""
    autostart: bool = True
    """What keeps it running starts it by itself."""
    written: Mapping[str, str] = attrs.field(default=_NONE, repr=False)
    """Files that the launcher writes itself, by path."""
    reasons: Mapping[str, str] = _NONE
    """Why a flag or a variable is not the launcher's own, by its name."""
    remarks: tuple[str, ...] = ()
    """What was seen around it and is not taken over, and why."""
