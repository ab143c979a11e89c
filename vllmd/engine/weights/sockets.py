"""Who hands out weights: the sockets of `vllm preload` on which somebody listens.

No connection is made: the one that serves them answers one after the other, and counts each. A
socket is bound once the weights of its GPU are complete; one that was killed leaves its file, so
the file alone says nothing. Source: vLLM 0.32, `WeightCacheDaemon.serve_forever` in
vllm/model_executor/model_loader/weight_cache/daemon.py.
"""

import contextlib
import os
from pathlib import Path

from vllmd.config.preload import SOCKET_PREFIX, SOCKET_SUFFIX

SOCKETS = "/proc/self/net/unix"
ACCEPTS = 0x10000
"""The flag of a socket that listens. Source: net/unix/af_unix.c, `unix_seq_show`; __SO_ACCEPTCON in
include/linux/net.h."""
_COLUMNS = 8


def listening(folder: Path, sockets: str = SOCKETS) -> int | None:
    """Return on how many sockets of a folder weights are handed out now; None if nobody tells."""
    begin = os.fsencode(folder / SOCKET_PREFIX)
    found = set()
    try:
        with open(sockets, "rb") as file:
            rows = [line.rstrip(b"\n").split(None, _COLUMNS - 1) for line in file]
    except OSError:
        return None
    for row in rows[1:]:
        if len(row) == _COLUMNS and int(row[3], 16) & ACCEPTS:
            path = row[7]
            if path.startswith(begin) and path.endswith(SOCKET_SUFFIX.encode()):
                found.add(path)
    return len([path for path in found if os.path.exists(path)])


def clear(folder: Path) -> None:
    """Remove what a run that is over has left of its sockets and their locks."""
    for path in folder.glob(f"{SOCKET_PREFIX}*"):
        with contextlib.suppress(OSError):
            path.unlink()
