"""Ports for servers of tests: below those that the kernel gives to clients (32768 and up).

A port that the kernel picked may be a client's a moment later, and then no server can listen there.
"""

import contextlib
import itertools
import os
import socket

FIRST, COUNT = 10_000, 22_000
_next = itertools.count(os.getpid() * 89)
"""Processes that test at the same time begin at different places."""


def free_port() -> int:
    """Return a port that nobody has, and that was not given out here before."""
    while True:
        port = FIRST + next(_next) % COUNT
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
