"""What keeps the weights of one rank: a process that loads, and then answers on its socket.

``python -m vllmd.demo.weights MODEL FOLDER RANKS RANK LOAD_S``. As with vLLM, the socket is there
once all is loaded, one process has it at a time, and a process that is killed leaves its file.
"""

import fcntl
import os
import socket
import sys
import time
from typing import Any

from vllmd.demo import weight_cache
from vllmd.demo.output import say
from vllmd.demo.weight_cache import MEMORY_BYTES, Stub

SOURCE = "daemon.py:303"


def main() -> int:
    """Load, then hand out until killed.

    Returns: 1 if another process has the socket.
    """
    model, folder, ranks, rank, load_s = sys.argv[1:6]
    time.sleep(float(load_s))
    path = weight_cache.socket_path(folder, weight_cache.uuid_of(int(rank)))
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        text = f"WeightCacheUnavailableError: Another weight cache daemon already owns {path}"
        say("WeightCache", text, level="ERROR", source=SOURCE)
        return 1
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        os.chmod(path, 0o600)
        server.listen()
        text = f"Weight cache target daemon rank {rank} serving on {path}"
        say("WeightCache", text, source=SOURCE)
        key = weight_cache.key_of(model, int(ranks), int(rank))
        while True:
            connection, _ = server.accept()
            with connection:
                _serve(connection, key)


def _serve(connection: socket.socket, key: dict[str, Any]) -> None:
    try:
        weight_cache.send(connection, answer(weight_cache.receive(connection), key))
    except (OSError, ValueError) as error:
        text = f"Client disconnected mid-request: {error}"
        say("WeightCache", text, level="WARNING", source=SOURCE)


def answer(request: dict[str, Any], key: dict[str, Any]) -> dict[str, Any]:
    """Return what is said to a request; `key` is what the weights here are told by.

    Source: `WeightCacheDaemon._handle_connection` in vLLM's daemon.py. There are no tensors here.
    """
    match request.get("cmd"):
        case "get_memory":
            return {"status": "ok", "memory_bytes": MEMORY_BYTES}
        case "release":
            return {"status": "ok"}
        case "get_state":
            asked = request.get("cache_config")
            if not isinstance(asked, Stub | dict):
                return {"status": "error", "message": "Missing cache_config"}
            fields = vars(asked) if isinstance(asked, Stub) else asked
            other = [name for name, value in key.items() if fields.get(name) != value]
            if other:
                return {"status": "mismatch", "fields": other}
            return {"status": "ok", "entries": {}, "aliases": {}, "attrs": {}, "gpu_uuid": None}
        case other:
            return {"status": "error", "message": f"Unknown command {other!r}"}


if __name__ == "__main__":
    sys.exit(main())
