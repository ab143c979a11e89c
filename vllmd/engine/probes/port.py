"""Whose is the port? A foreign server on it would answer `/health` for an engine that loads."""

import contextlib
import errno
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
    """Tell whether nobody is known to have a port; a name is looked up, which may take long.

    That a server could not listen there for another reason (it is no address of this host, there is
    no descriptor) says nothing of others.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    except UnicodeError:  # no name at all
        return True
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
