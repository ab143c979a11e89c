"""Can the hosts of a group find and reach each other, and are they alike?"""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity


def group_names(case: Case) -> Iterator[Finding]:
    """Find a name that leads to the host itself, as Debian's 127.0.1.1 in /etc/hosts does."""
    group, facts = case.engine.group, case.group
    if group is None or facts is None:
        return
    listed = [host.name for host in group.hosts if host.name in facts.loopback]
    own = [name for name in facts.loopback if name not in listed]
    fix = (
        "Take the name out of the line with 127.0.1.1 in /etc/hosts, or write addresses into "
        "group.hosts, on all hosts."
    )
    for name in listed:
        yield Finding(
            "group-names",
            FindingSeverity.ERROR,
            f"group.hosts: {name} is an address of the loopback interface on this host",
            "vLLM listens there or looks there for the head, and no other host reaches it.",
            fix,
        )
    if own and group.interface is None:
        yield Finding(
            "group-names",
            FindingSeverity.WARNING,
            f"this host's own name, {own[0]}, is an address of the loopback interface",
            "Gloo and NCCL take it for the address at which the others reach this host.",
            f"Set group.interface, or: {fix[0].lower()}{fix[1:]}",
        )


def group_port(case: Case) -> Iterator[Finding]:
    """Find a port at which members are to join, and somebody else listens."""
    group, facts = case.engine.group, case.group
    if group is None or facts is None or facts.taken_by is None:
        return
    by = f" by {facts.taken_by}" if facts.taken_by else ""
    yield Finding(
        "group-port",
        FindingSeverity.ERROR,
        f"port {group.join_port}, at which members join, is in use{by}",
        "The head loads, and ends because it cannot listen; or members join something else.",
        f"'ss -ltnp sport = :{group.join_port}' names who. End it, or set group.port on all hosts.",
    )


def group_reach(case: Case) -> Iterator[Finding]:
    """Find hosts that give no page, and a head whose port cannot be reached."""
    if case.group is None:
        return
    for host, why in case.group.silent.items():
        yield Finding(
            "group-reach",
            FindingSeverity.WARNING,
            f"{host} gives no page of {case.engine.name}: {why}",
            "The group does not start, and this host cannot say whether the two are alike.",
            f"Look whether vllmd runs on {host} with this engine ('vllmd status' there), listens "
            "for other hosts (daemon.listen), and whether a firewall is between them.",
        )
    if case.group.closed is not None:
        yield Finding(
            "group-reach",
            FindingSeverity.WARNING,
            case.group.closed,
            "Its vllmd answers, so a firewall stands before the port at which this host is to "
            "join: the start would wait until it is given up.",
            "Let the hosts of the group reach each other at all ports: vLLM, Gloo and NCCL choose "
            "some twenty by themselves.",
        )


def group_alike(case: Case) -> Iterator[Finding]:
    """Find what differs between the hosts of a group."""
    for said in case.group.differences if case.group else ():
        yield Finding(
            "group-alike",
            FindingSeverity.ERROR,
            said,
            "Parts that differ do not join, hang while they load, or answer nonsense.",
            "Write the same table, and install the same vLLM and model, on all hosts; then 'vllmd "
            "reload' on each.",
        )
