"""To whom the processes of a run are connected: what the kernel knows, without asking anybody."""

import psutil

from vllmd.shim import proc

_MAPPED = "::ffff:"


def connected_addresses(shim_pid: int) -> frozenset[str] | None:
    """Return the addresses at the other end of all TCP connections of a run's processes.

    Only established ones count: a process whose peer has ended keeps the other end of its
    connection for a while, in another state. Reads files in /proc, and may take milliseconds.

    Returns: None if nothing could be read, as without the right to look.
    """
    found: set[str] = set()
    read = refused = False
    for stat in proc.descendants(shim_pid):
        try:
            connections = psutil.Process(stat.pid).net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.Error:
            refused = True
            continue
        read = True
        found.update(
            c.raddr.ip.removeprefix(_MAPPED)
            for c in connections
            if c.status == psutil.CONN_ESTABLISHED and c.raddr
        )
    return frozenset(found) if read or not refused else None
