"""Whose is the port? A foreign server on it would answer `/health` for an engine that loads."""

import psutil

from vllmd.shim import proc


def owned_by_tree(shim_pid: int, port: int) -> bool | None:
    """Tell whether a process below the shim listens on `port`.

    Returns: None if that cannot be read, as without the right to look.
    """
    refused = False
    for stat in proc.descendants(shim_pid):
        try:
            connections = psutil.Process(stat.pid).net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.Error:
            refused = True
            continue
        if any(
            c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections
        ):
            return True
    return None if refused else False
