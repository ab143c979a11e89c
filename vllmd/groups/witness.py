"""To whom the processes of a run are connected: what the kernel knows, without asking anybody.

Source: proc(5): /proc/PID/net/tcp and tcp6 (address, state and inode of each socket of a network
namespace), /proc/PID/fd (`socket:[INODE]`).
"""

import contextlib
import os
import struct
from collections.abc import Collection, Iterator
from ipaddress import ip_address

from vllmd.groups.reach import plain
from vllmd.shim import proc

_SOCKET = "socket:["
_ESTABLISHED = b"01"
_OWN_END, _OTHER_END, _STATE, _INODE = 1, 2, 3, 9


def connected_addresses(shim_pid: int, api_port: int | None = None) -> frozenset[str] | None:
    """Return the addresses at the other end of all TCP connections of a run's processes.

    Those to `api_port` are of clients and balancers, which may be on the other host, too, and say
    nothing of its part. Only established ones count: a process whose peer has ended keeps the other
    end of its connection for a while, in another state. The table of the host's sockets is read
    once, however many processes there are; with thousands of sockets that takes milliseconds.

    Returns: None if not all of it could be read, as without the right to look or a descriptor to
        do it with: what was not seen may be there.
    """
    inodes: set[bytes] = set()
    is_read = False
    try:
        for stat in proc.descendants(shim_pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                inodes.update(_sockets(stat.pid))
                is_read = True
        ends = {
            end
            for name in ("tcp", "tcp6")
            for own_port, end in _ends(shim_pid, name, inodes)
            if own_port != api_port
        }
    except OSError:
        return None
    return frozenset(map(_address, ends)) if is_read else None


def _sockets(pid: int) -> Iterator[bytes]:
    """Yield the inodes of a process' sockets. Raises: OSError: it has ended, or may not be read."""
    folder = f"/proc/{pid}/fd"
    for number in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{number}")
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith(_SOCKET):
            yield target[len(_SOCKET) : -1].encode()


def _ends(pid: int, name: str, inodes: Collection[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the own ports of these sockets, and where they are connected to, as the kernel has it.

    Raises: OSError: it cannot be read.
    """
    path = f"/proc/{pid}/net/{name}"
    if name == "tcp6" and not os.path.exists(path):
        return  # there is no IPv6
    with open(path, "rb") as file:
        lines = file.read().splitlines()[1:]
    for fields in map(bytes.split, lines):
        if fields[_STATE] == _ESTABLISHED and fields[_INODE] in inodes:
            own_port = int(fields[_OWN_END].rpartition(b":")[2], 16)
            yield own_port, fields[_OTHER_END].partition(b":")[0]


def _address(written: bytes) -> str:
    """Read an address: words of 32 bits in hexadecimal, each in the order of this host's bytes."""
    raw = bytes.fromhex(written.decode())
    words = len(raw) // 4
    return plain(ip_address(struct.pack(f">{words}I", *struct.unpack(f"={words}I", raw))))
