"""Who is at the other end of the control socket, and what they may do."""

import errno
import grp
import os
import pwd
import socket
import struct

import attrs

GROUP = "vllmd"
_SO_PEERGROUPS = 59
_MAX_BYTES = 1024


@attrs.frozen
class Peer:
    """The process that connected, as the kernel vouches for it."""

    pid: int
    uid: int
    groups: frozenset[int]

    def describe(self) -> str:
        """Name the user."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"

    def may_act(self) -> bool:
        """Tell whether the peer may change anything: root, the daemon's user, the group."""
        if self.uid in (0, os.geteuid()):
            return True
        try:
            return grp.getgrnam(GROUP).gr_gid in self.groups
        except KeyError:
            return False


def peer_of(connection: socket.socket) -> Peer:
    """Ask the kernel who is at the other end of a Unix socket.

    Source: unix(7), SO_PEERCRED; socket.h, SO_PEERGROUPS (Linux 4.13).
    Raises: OSError: it is not a Unix socket.
    """
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", data)
    return Peer(pid=pid, uid=uid, groups=frozenset({gid, *_groups_of(connection, uid, gid)}))


def _groups_of(connection: socket.socket, uid: int, gid: int) -> tuple[int, ...]:
    """Return the groups of a peer; those of its user where it has more than the kernel hands out.

    Python takes no more than 1024 bytes of a socket's option: 256 groups.
    """
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        try:
            return tuple(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
        except KeyError:
            return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)
