import pickle
import socket
import struct
from pathlib import Path

import pytest

from vllmd.demo import weight_cache
from vllmd.demo.weight_cache import LENGTH, Stub, receive, send


class Theirs:
    """A class of the other side, which must not be made here."""

    def __init__(self) -> None:
        self.tp_size = 2


def test_message_goes_over_as_vllm_sends_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, {"cmd": "get_memory"})
        data = theirs.recv(4096)
    assert struct.unpack("!Q", data[:8])[0] == len(data) - 8
    assert pickle.loads(data[8:]) == {"cmd": "get_memory"}


def test_class_in_a_message_becomes_its_fields() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, {"cache_config": Theirs()})
        found = receive(theirs)["cache_config"]
    assert type(found) is Stub
    assert vars(found) == {"tp_size": 2}


@pytest.mark.parametrize(
    "data", [LENGTH.pack(2**40), LENGTH.pack(4) + pickle.dumps([])[:4], LENGTH.pack(9) + b"1"]
)
def test_message_that_is_none_is_refused(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.close()
        with pytest.raises((ValueError, ConnectionError, pickle.UnpicklingError, EOFError)):
            receive(theirs)


def test_socket_is_named_by_the_gpu() -> None:
    path = weight_cache.socket_path("/run/w", "GPU-1")
    assert path.startswith("/run/w/vllm_weight_cache_")
    assert len(Path(path).name) == len("vllm_weight_cache_") + 32 + len(".sock")
    assert weight_cache.socket_path("/run/w", "GPU-1", draft=True).endswith("_draft.sock")


def test_key_is_of_the_heads_of_the_files_alone(tmp_path: Path) -> None:
    def key(name: str, data: bytes) -> object:
        head = b'{"w":1}'
        (tmp_path / name).write_bytes(struct.pack("<Q", len(head)) + head + data)
        return weight_cache.key_of(str(tmp_path), 2, 0)["checkpoint"]

    before = key("a.safetensors", b"1")
    assert key("a.safetensors", b"2") == before
    assert key("b.safetensors", b"2") != before
    assert weight_cache.key_of("org/m", 2, 1) == {
        "checkpoint": "org/m",
        "tp_size": 2,
        "tp_rank": 1,
    }
