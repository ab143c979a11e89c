"""How a group stands, as one of its hosts knows it: what `vllmd status` and the page show."""

from collections.abc import Collection, Mapping

from vllmd.config.group import GroupConfig
from vllmd.engine.group_interface import AwaitedHost, GroupStatus
from vllmd.groups.own import Identity
from vllmd.groups.page import EndOfPart, RefusedWish, role_of
from vllmd.groups.peers import PeerWatch
from vllmd.groups.rules import Decision


def status_of(
    engine: str,
    group: GroupConfig,
    rank: int,
    *,
    state: str,
    told: Identity,
    generation: str | None,
    peers: Collection[PeerWatch],
    step: Decision,
    doubt: str | None,
    refused: RefusedWish | None,
    failed: tuple[str, EndOfPart] | None,
) -> GroupStatus:
    """Return how it stands; `state` is that of this host's part, `failed` the first end."""
    hosts = {host.name: "unknown" for host in group.hosts}
    hosts[group.hosts[rank].name] = state
    for peer in peers:
        known = peer.known()
        silent = peer.silence if known.problem else "unknown"
        hosts[peer.name] = known.heard.state if known.heard else silent
    return GroupStatus(
        role=role_of(rank),
        rank=rank,
        mode=group.mode,
        hosts=hosts,
        name=f"{engine}@{group.head.name}",
        size=len(group.hosts),
        vllm=told.vllm,
        generation=generation,
        red=step.red,
        doubt=doubt,
        waits_for=step.waits_for,
        awaited=_awaited(group, step, hosts, is_member=rank > 0),
        refused=_refused(group, refused),
        failed_host=failed[0] if failed else None,
        failure=failed[1].explanation or failed[1].text if failed else None,
        differences=tuple(d for peer in peers for d in peer.differences(told)),
        silent={peer.name: peer.problem for peer in peers if peer.problem},
    )


def _refused(group: GroupConfig, no: RefusedWish | None) -> str | None:
    if no is None:
        return None
    return f"the head, {group.head.name}, refuses the {no.wish.what}: {no.why}"


def _awaited(
    group: GroupConfig, step: Decision, states: Mapping[str, str], *, is_member: bool
) -> AwaitedHost | None:
    """Return who is waited for; a member waits for the head only."""
    lacks_head = is_member and (step.waits_for or step.red)
    name = group.head.name if lacks_head else step.awaited
    found = (host for host in group.hosts if host.name == name)
    return next((AwaitedHost(host.netloc, states[host.name]) for host in found), None)
