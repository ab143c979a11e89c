"""Which replicas a balancer has behind each address: the hosts, and the engines of each. Pure."""

from collections.abc import Iterable, Sequence

import attrs

from vllmd.config.fleet import FleetHost
from vllmd.config.model import Config, EngineConfig
from vllmd.errors import UnknownEngineError

MADE_BY = "Made by 'vllmd fleet export'; make it anew when hosts or engines change."
FIRST_PORT = 8080


@attrs.frozen
class ReplicaAddress:
    """Where a replica answers, and by which name its host's page tells whether it is ready."""

    host: FleetHost
    engine: EngineConfig

    @property
    def netloc(self) -> str:
        """Host and port of its API."""
        return FleetHost(self.host.name, self.engine.port).netloc

    @property
    def name(self) -> str:
        """What a balancer calls it: the engine is behind the last colon."""
        return f"{self.host.name.replace(':', '.')}:{self.engine.name}"


@attrs.frozen
class FleetService:
    """A model behind one address: its replicas, and the port that clients ask."""

    name: str
    port: int
    replicas: tuple[ReplicaAddress, ...]

    @property
    def engines(self) -> tuple[EngineConfig, ...]:
        """The engines that serve it on each host."""
        return tuple({each.engine.name: each.engine for each in self.replicas}.values())


def services(
    config: Config, hosts: Sequence[FleetHost], only: str | None = None, port: int = FIRST_PORT
) -> list[FleetService]:
    """Return what is served, each behind a port of its own; `only` is an engine or a model.

    An engine's name goes before a model's, so `only` chooses one.
    Of an engine of several hosts the group's head is the one replica: nothing listens elsewhere.
    Raises: UnknownEngineError: there is none of that name.
    """
    found: dict[str, list[EngineConfig]] = {}
    for engine in config.engines.values():
        found.setdefault(engine.served_names[0], []).append(engine)
    named = {n: engines for n, engines in found.items() if only in {e.name for e in engines}}
    served = {n: engines for n, engines in found.items() if only in (None, n)}
    chosen = named or served
    if not chosen:
        raise UnknownEngineError.among(only or "", config.engines)
    return [
        FleetService(
            name,
            port + number,
            tuple(
                ReplicaAddress(place, engine)
                for host in hosts
                for engine in engines
                if (place := _place(engine, host, hosts)) is not None
            ),
        )
        for number, (name, engines) in enumerate(chosen.items())
    ]


def _place(engine: EngineConfig, host: FleetHost, hosts: Sequence[FleetHost]) -> FleetHost | None:
    """Return where an engine answers, asked for once for each host; None if not for this one."""
    if engine.group is None:
        return host
    head = engine.group.head
    if head.name in {each.name for each in hosts}:
        return host if host.name == head.name else None
    return head if host == hosts[0] else None  # the fleet's list has another name for it


def word(name: str) -> str:
    """Return a name that every balancer takes: a model's may have a slash."""
    return "".join(each if each.isalnum() or each in "-_." else "-" for each in name)


def remarks(lines: Iterable[str]) -> list[str]:
    """Return lines as remarks."""
    return [f"# {line}".rstrip() for line in lines]
