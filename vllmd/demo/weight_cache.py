"""The protocol of vLLM's weight cache, as the stand-in speaks it on both sides.

Each message is its length (eight bytes, the highest first) and a pickle of a table: ``cmd`` is
get_state, get_memory or release; an answer has a ``status`` ok, mismatch or error. A GPU's socket
is named by the MD5 of its UUID. Source: vLLM 0.32, `send_msg`, `recv_msg`, `get_socket_path` and
`WeightCacheKey` in vllm/model_executor/model_loader/weight_cache/protocol.py.

Nothing of a pickle is called: a class that is named in it becomes a `Stub` with its fields.
"""

import hashlib
import io
import pickle
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LENGTH = struct.Struct("!Q")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MEMORY_BYTES = 64 * 1024 * 1024
"""What the stand-in says that its weights take."""


class Stub:
    """Something of vLLM's that came in a pickle: its fields, and none of its methods."""

    def __setstate__(self, fields: Mapping[str, Any]) -> None:
        self.__dict__.update(fields)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return Stub


def socket_path(folder: str, uuid: str, *, draft: bool = False) -> str:
    """Return where the weights of a GPU are handed out."""
    name = hashlib.md5(uuid.encode(), usedforsecurity=False).hexdigest()
    return f"{folder}/vllm_weight_cache_{name}{'_draft' if draft else ''}.sock"


def uuid_of(rank: int) -> str:
    """Return the UUID of the GPU that a rank of the stand-in would have."""
    return f"GPU-stand-in-{rank}"


def key_of(model: str, ranks: int, rank: int) -> dict[str, Any]:
    """Return what the weights of a rank are told by: the heads of its files and its place."""
    return {"checkpoint": _heads(Path(model)) or model, "tp_size": ranks, "tp_rank": rank}


def _heads(folder: Path) -> str | None:
    """Hash the heads of safetensors files. Source: `hash_checkpoint` in protocol.py."""
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    found = hashlib.md5(usedforsecurity=False)
    for path in files:
        with path.open("rb") as file:
            size = file.read(8)
            found.update(path.name.encode() + size + file.read(struct.unpack("<Q", size)[0]))
    return found.hexdigest() if files else None


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message."""
    data = pickle.dumps(dict(message), protocol=pickle.HIGHEST_PROTOCOL)
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> dict[str, Any]:
    """Receive one message.

    Raises: ConnectionError: it ended before; ValueError: it is no such message.
    """
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes is too long")
    message = _Unpickler(io.BytesIO(_exactly(connection, length))).load()
    if not isinstance(message, dict):
        raise ValueError(f"a message is a table, and not {type(message).__name__}")
    return message


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = connection.recv(size - len(data))
        if not block:
            raise ConnectionError("the connection ended within a message")
        data += block
    return data
