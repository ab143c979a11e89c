"""`[engines.NAME.group]`: one model over several hosts, by vLLM's own modes.

The table is the same on every host: which part a host has is told by its own name or addresses. The
first host is the head; it has the API server. vLLM's flags are derived of that. Source: vLLM 0.32,
`vllm serve --help=ParallelConfig`, `run_headless` in entrypoints/cli/serve.py.
"""

import hashlib
import ipaddress
import json
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import psutil

from vllmd.config import rules
from vllmd.config.fleet import FleetHost, parse_hosts
from vllmd.config.problem import TableProblem
from vllmd.config.rules import RuleError, key

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

TENSOR, DATA = "tensor", "data"
DEFAULT_PORTS: Mapping[str, int] = {TENSOR: 29501, DATA: 13345}
INTERFACE_VARIABLES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")
HOST_IP = "VLLM_HOST_IP"
DP_SIZE, DP_LOCAL = "data-parallel-size", "data-parallel-size-local"
_DERIVED = frozenset(
    {
        *("nnodes", "node-rank", "master-addr", "master-port", "distributed-executor-backend"),
        *("data-parallel-size", "data-parallel-size-local", "data-parallel-address"),
        *("data-parallel-rpc-port", "data-parallel-start-rank", "data-parallel-rank"),
        *("data-parallel-backend", "data-parallel-hybrid-lb", "data-parallel-external-lb"),
        "data-parallel-multi-port-external-lb",
    }
)
"""Flags that the table stands for, or that make another kind of group."""
_ELSEWHERE = frozenset({f for f in _DERIVED if f.endswith("-lb")}) | {
    *("data-parallel-rank", "data-parallel-start-rank", "nnodes"),
}
"""Flags with which not all data parallel ranks are behind one API server, on one host."""
SPLITS = ("tensor-parallel-size", "pipeline-parallel-size", "prefill-context-parallel-size")
"""Flags by which one copy of a model is spread over GPUs."""
TRACES = "otlp-traces-endpoint"
"""The flag for where spans go: each host receives its own, at a port of its own."""
OF_THE_API = frozenset({"api-server-count"})
"""Flags of the head only: with `--headless` vLLM refuses them (run in serve.py)."""


def _hosts(value: Any) -> tuple[FleetHost, ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise RuleError('a list of two hosts or more, the head first, such as ["gpu01", "gpu02"]')
    hosts = parse_hosts(value)
    names = [host.name for host in hosts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RuleError(f"each host once; {twice} is there twice")
    return hosts


@attrs.frozen
class GroupConfig:
    """The hosts that serve one model together; the same table on each of them."""

    hosts: tuple[FleetHost, ...] = key(
        _hosts,
        help="The hosts that serve this model together, the same list on each of them: the first "
        "is the head and has the API. Names as `hostname` prints them, or addresses; with the port "
        "of the exporter where that is not 9840.",
        example='["gpu01", "gpu02"]',
    )
    mode: str = key(
        rules.matching(f"{TENSOR}|{DATA}", f'"{TENSOR}" or "{DATA}"'),
        help=f'"{TENSOR}": the model is split over the hosts, as flags.tensor-parallel-size and '
        f'pipeline-parallel-size say. "{DATA}": each host has whole copies of it, and the head '
        "shares requests out.",
        example=f'"{TENSOR}"',
    )
    ranks_per_host: int = key(
        rules.integer(1, 64),
        1,
        help=f'With mode = "{DATA}": copies of the model on each host '
        "(--data-parallel-size-local).",
    )
    interface: str | None = key(
        rules.matching(r"[A-Za-z0-9_.:@-]{1,15}", "the name of a network interface, such as eth0"),
        None,
        help="The network interface by which the hosts reach each other, of one name on all of "
        "them: NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME, and its address as VLLM_HOST_IP.",
        example='"eth0"',
    )
    port: int | None = key(
        rules.integer(1, 65535),
        None,
        help="TCP port of the head at which the members join (--master-port, "
        "--data-parallel-rpc-port); "
        f'{DEFAULT_PORTS[TENSOR]} with "{TENSOR}", {DEFAULT_PORTS[DATA]} with "{DATA}". Two groups '
        "with the same head need two. vLLM opens others besides, on any port.",
        example="29501",
    )

    @property
    def join_port(self) -> int:
        """The port of the head at which members join."""
        return self.port or DEFAULT_PORTS[self.mode]

    @property
    def head(self) -> FleetHost:
        """The host that has the API server."""
        return self.hosts[0]


@attrs.frozen
class ThisHost:
    """What this host is known by."""

    name: str
    addresses: Mapping[str, tuple[str, ...]]
    """By interface."""

    @classmethod
    def look(cls) -> "ThisHost":
        """Ask the kernel; nothing is asked of a name server."""
        families = (socket.AF_INET, socket.AF_INET6)
        found = {
            name: tuple(a.address.partition("%")[0] for a in all_ if a.family in families)
            for name, all_ in psutil.net_if_addrs().items()
        }
        return cls(socket.gethostname(), found)

    def is_called(self, name: str) -> bool:
        """Tell whether it is meant by a name, with or without its domain, or by an address."""
        if _is_address(name):
            wanted = ipaddress.ip_address(name)
            return any(ipaddress.ip_address(a) == wanted for a in self.all_addresses)
        short, _, domain = name.lower().partition(".")
        own, _, own_domain = self.name.lower().partition(".")
        return short == own and (not domain or not own_domain or domain == own_domain)

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """Its addresses but those of the loopback interface."""
        found = (a for each in self.addresses.values() for a in each)
        return tuple(a for a in found if not ipaddress.ip_address(a).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def rank_of(group: GroupConfig, host: ThisHost) -> int | None:
    """Return this host's place in the list; None if it is not in it, or is it twice."""
    found = [rank for rank, each in enumerate(group.hosts) if host.is_called(each.name)]
    return found[0] if len(found) == 1 else None


def own_rank(engine: "EngineConfig") -> int | None:
    """Return this host's place in an engine's group; None if it has none, or is not in it."""
    return rank_of(engine.group, ThisHost.look()) if engine.group is not None else None


def is_member(engine: "EngineConfig") -> bool:
    """Tell whether this host's part of an engine has no API server: the head has it."""
    return bool(own_rank(engine))


def sizes(group: GroupConfig) -> dict[str, int]:
    """Return the flags by which vLLM knows how large the group is, with their values."""
    if group.mode == TENSOR:
        return {"nnodes": len(group.hosts)}
    local = group.ranks_per_host
    return {DP_SIZE: local * len(group.hosts), DP_LOCAL: local}


def ranks_behind(engine: "EngineConfig") -> int:
    """Return how many data parallel ranks are behind the API server of an engine of one host.

    Returns: 1 for a group, and where some are on other hosts, or have an API server of their own.
    """
    flags, count = engine.flags, engine.flags.get(DP_SIZE)
    if engine.group is not None or not isinstance(count, int) or isinstance(count, bool):
        return 1
    ray = flags.get("data-parallel-backend", "mp") != "mp"
    if ray or flags.get(DP_LOCAL, count) != count or any(f in flags for f in _ELSEWHERE):
        return 1
    return max(1, count)


def arguments(engine: "EngineConfig") -> list[str]:
    """Return the flags of this host's part of a group, for an engine that has one."""
    group, rank = engine.group, own_rank(engine)
    if group is None or rank is None:
        return []
    found = [word for flag, size in sizes(group).items() for word in (f"--{flag}", str(size))]
    address, port = group.head.name, str(group.join_port)
    if group.mode == TENSOR:
        found += ["--node-rank", str(rank), "--master-addr", address, "--master-port", port]
        found += ["--distributed-executor-backend", "mp"]
    else:
        found += ["--data-parallel-address", address, "--data-parallel-rpc-port", port]
        if rank:
            found += ["--data-parallel-start-rank", str(group.ranks_per_host * rank)]
    return [*found, "--headless"] if rank else found


def is_left_out(engine: "EngineConfig", flag: str) -> bool:
    """Tell whether a flag of the common table is not for this host's part."""
    return flag in OF_THE_API and is_member(engine)


def variables(engine: "EngineConfig") -> dict[str, str]:
    """Return the variables of this host's part of a group."""
    group = engine.group
    if group is None:
        return {}
    host = ThisHost.look()
    rank, found = rank_of(group, host), {}
    if group.interface is not None:
        found = dict.fromkeys(INTERFACE_VARIABLES, group.interface)
        address = next(iter(host.addresses.get(group.interface, ())), None)
    else:
        own = group.hosts[rank].name if rank is not None else ""
        address = own if _is_address(own) else None
    return {**found, HOST_IP: address} if address else found


def common_hash(engine: "EngineConfig", argv: Sequence[str], own: Mapping[str, str]) -> str:
    """Return a fingerprint of what the parts of a group have in common: all but their places."""
    derived, words = arguments(engine), list(argv)
    at = next((i for i in range(len(words)) if words[i : i + len(derived)] == derived), len(words))
    words = [*words[1:at], *words[at + len(derived) :]]
    for flag in (TRACES, *OF_THE_API):
        if (name := f"--{flag}") in words:
            at = words.index(name)
            del words[at : at + 2]
    host = variables(engine)
    env = {name: value for name, value in own.items() if name not in host}
    env = {name: value for name, value in env.items() if name not in engine.secret_variables}
    content = json.dumps([words, sorted(env.items()), sizes(engine.group) if engine.group else {}])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def problems(
    engines: Mapping[str, "EngineConfig"], host: ThisHost | None = None
) -> Iterator[TableProblem]:
    """Yield what is wrong with the tables, for this `host`."""
    if not any(engine.group is not None for engine in engines.values()):
        return
    host = host or ThisHost.look()
    ports: dict[tuple[str, int], str] = {}
    for name, engine in engines.items():
        if engine.group is None:
            continue
        for problem in (*_of_place(engine.group, host), *_of_engine(engine, engine.group)):
            yield attrs.evolve(problem, key=("engines", name, *problem.key))
        joined = engine.group.head.name, engine.group.join_port
        other = ports.setdefault(joined, name)
        if other != name:
            yield TableProblem(
                ("engines", name, "group", "port"),
                f"{joined[1]} is the port at which members of engines.{other} join, too",
                "give one of them another port",
            )


def _of_place(group: GroupConfig, host: ThisHost) -> Iterator[TableProblem]:
    names = [each.name for each in group.hosts if host.is_called(each.name)]
    if len(names) > 1:
        yield TableProblem(
            ("group", "hosts"),
            f"{' and '.join(names)} are both this host ({host.name})",
            "write each host once",
        )
    if not names:
        known = ", ".join(host.all_addresses) or "no address"
        yield TableProblem(
            ("group", "hosts"),
            f"this host is none of {', '.join(map(str, group.hosts))}: it is called "
            f"{host.name!r} and has {known}",
            "write this host's name into the list, on all hosts, as 'hostname' prints it, or one "
            "of its addresses; a host that has no part of it does not need the engine",
        )
    if group.interface is not None and group.interface not in host.addresses:
        yield TableProblem(
            ("group", "interface"),
            f"this host has no interface {group.interface!r}: it has "
            f"{', '.join(sorted(host.addresses))}",
            "name one that all hosts have",
        )


def _of_engine(engine: "EngineConfig", group: GroupConfig) -> Iterator[TableProblem]:
    for flag in engine.flags:
        if flag in _DERIVED:
            fix = "take the flag out, or the table group"
            yield TableProblem(("flags", flag), "is derived from the table group", fix)
    for name in (*INTERFACE_VARIABLES, HOST_IP):
        if group.interface is not None and name in engine.env:
            fix = "take the variable out, or group.interface"
            yield TableProblem(("env", name), "is derived from group.interface", fix)
    for other, given in (("preload", engine.preload), ("sleep", engine.sleep is not None)):
        if given:
            fix = "take it out: it works for a model on one host"
            yield TableProblem((other,), "does not go with a group of hosts", fix)
    words = [word.partition("=")[0].lstrip("-") for word in engine.executable[1:]]
    if not _DERIVED.isdisjoint(words):
        fix = "take it out of the leading arguments: the table group stands for it"
        yield TableProblem(("executable",), "has a flag that the table group stands for", fix)
    yield from _of_split(engine.flags, group)


def _of_split(flags: Mapping[str, Any], group: GroupConfig) -> Iterator[TableProblem]:
    count = len(group.hosts)
    if group.mode == DATA:
        return
    if group.ranks_per_host != 1:
        fix = f'take it out, or set mode = "{DATA}"'
        yield TableProblem(("group", "ranks_per_host"), f'says nothing with mode = "{TENSOR}"', fix)
    whole, given = product(flags, SPLITS), " times ".join(SPLITS[:2])
    if whole % count or whole < count:
        yield TableProblem(
            ("group", "mode"),
            f"{given} is {whole}, which cannot be spread over {count} hosts",
            f"set flags.tensor-parallel-size or flags.pipeline-parallel-size so that it is "
            f"{count}, or a multiple: the number of all GPUs",
        )


def product(flags: Mapping[str, Any], names: Collection[str]) -> int:
    """Return the product of what these flags say; one that is not there, or no size, is 1."""
    whole = 1
    for name in names:
        size = flags.get(name, 1)
        whole *= size if isinstance(size, int) and size > 0 else 1
    return whole
