"""Whose is the port? A foreign server on it would answer `/health` for an engine that loads."""

import contextlib
import socket

import psutil

from vllmd.shim import proc

MOST_SHOWN = 80
"""Characters of another process's command line that are shown, in one line."""


def owned_by_tree(shim_pid: int, port: int) -> bool | None:
    """Tell whether a process below the shim listens on `port`.

    Returns: None if that cannot be read, as without the right to look, or a descriptor.
    """
    refused = False
    try:
        processes = proc.descendants(shim_pid)
    except OSError:
        return None
    for stat in processes:
        try:
            connections = psutil.Process(stat.pid).net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            continue
        except (psutil.Error, OSError):
            refused = True
            continue
        if any(
            c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections
        ):
            return True
    return None if refused else False


def port_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listener_on(port: int) -> str | None:
    """Name the process that listens on `port`; None if that cannot be seen."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            listens = connection.status == psutil.CONN_LISTEN and address
            if listens and tuple(address)[1] == port and connection.pid:
                command = " ".join(proc.command_line(connection.pid).split())
                return f"{command[:MOST_SHOWN]} (pid {connection.pid})"
    return None
