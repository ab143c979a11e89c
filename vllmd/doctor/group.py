"""The other hosts of an engine's group, as this one reaches them."""

import asyncio
import socket
from collections.abc import Collection, Mapping
from ipaddress import ip_address

import attrs

from vllmd.config.command import Command
from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.config.group import GroupConfig, ThisHost, common_hash, rank_of
from vllmd.config.model import EngineConfig
from vllmd.engine.probes.port import listener_on, port_free
from vllmd.errors import ConfigError
from vllmd.fleet.pages import HostPageError, HostPages, PageAccess
from vllmd.groups.own import Identity, differences
from vllmd.groups.page import GroupPage
from vllmd.groups.peers import MAX_BYTES, path_of, read_page
from vllmd.groups.reach import CONNECT_S, is_cut, literal, resolve
from vllmd.groups.version import installed_version, revision_of
from vllmd.util.threads import Threads

JOIN_S = 120.0
"""So long after its start a head listens for members: seen, vLLM 0.32, on a slow host."""


@attrs.frozen
class GroupFacts:
    """What this host finds out about the others; names are those of the list."""

    rank: int
    loopback: tuple[str, ...] = ()
    """Names of hosts, and this host's own, that lead to this host alone."""
    taken_by: str | None = None
    """Of a head that does not run: who listens at the port at which members join."""
    silent: Mapping[str, str] = attrs.field(factory=dict)
    """Hosts that give no page, and why."""
    closed: str | None = None
    """Of a member: why the head's port cannot be reached, though its vllmd can."""
    differences: tuple[str, ...] = ()


def look(
    name: str, engine: EngineConfig, command: Command, fleet: FleetConfig, running: Collection[str]
) -> GroupFacts | None:
    """Ask the others; None if the engine is of one host, or this host is none of the group's.

    It takes seconds where hosts do not answer. `running` are the engines that run here.
    """
    if engine.group is None or (rank := rank_of(engine.group, ThisHost.look())) is None:
        return None
    own = Identity(
        common_hash(engine, command.argv, command.own_env),
        installed_version(command.argv[0]),
        revision_of(engine, command.env),
    )
    return asyncio.run(_look(name, engine.group, rank, own, fleet, name in running))


async def _look(
    name: str, group: GroupConfig, rank: int, own: Identity, fleet: FleetConfig, runs: bool
) -> GroupFacts:
    # a name server that does not answer holds up no other host, nor the end
    asyncio.get_running_loop().set_default_executor(Threads(close_s=0))
    others = [host for place, host in enumerate(group.hosts) if place != rank]
    pages, silent = await _pages(others, name, fleet)
    alike = [said for host, page in pages.items() for said in differences(host, page, own)]
    taken = _holder(group.join_port) if not rank and not runs else None
    closed = None
    if rank and not runs:
        closed = await _closed(group.head, group.join_port, pages.get(group.head.name))
    names = dict.fromkeys([*(host.name for host in group.hosts), socket.gethostname()])
    loopback = [each for each in names if await _leads_here(each)]
    return GroupFacts(rank, tuple(loopback), taken, silent, closed, tuple(alike))


def _holder(port: int) -> str | None:
    """Say who listens at a port; empty if that cannot be seen, None if nobody does."""
    return None if port_free("0.0.0.0", port) else listener_on(port) or ""


async def _pages(
    hosts: Collection[FleetHost], name: str, fleet: FleetConfig
) -> tuple[dict[str, GroupPage], dict[str, str]]:
    """Return the pages by host, and of hosts without one the reason."""
    try:
        access = await PageAccess.of(fleet)
    except ConfigError as error:
        return {}, {host.name: str(error) for host in hosts}
    async with HostPages(access) as asked:
        answers = await asked.all_json(hosts, path_of(name), max_bytes=MAX_BYTES)
    pages, silent = {}, {}
    for host, answer in answers.items():
        try:
            if isinstance(answer, HostPageError):
                raise answer
            pages[host.name] = read_page(host, answer)
        except HostPageError as error:
            silent[host.name] = error.reason
    return pages, silent


async def _closed(head: FleetHost, port: int, page: GroupPage | None) -> str | None:
    """Say why the head's port cannot be reached, if its vllmd can; refused is a start to come."""
    if page is None:
        return None
    addresses = literal(head.name) or await resolve(head.name)
    if await is_cut(addresses, port):
        return f"nothing comes back from port {port} of {head.name} within {CONNECT_S:g} s"
    listens = page.runs and (page.served or page.for_s > JOIN_S)
    if listens and not any([await _connects(each, port) for each in addresses]):
        return f"port {port} of {head.name} refuses, and the head runs"
    return None


async def _connects(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _leads_here(name: str) -> bool:
    if literal(name):
        return False
    found = await resolve(name)
    return bool(found) and all(ip_address(each.partition("%")[0]).is_loopback for each in found)
