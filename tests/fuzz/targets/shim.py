"""What a shim is sent: the line that tells it what to run, and requests on its socket."""

import json
from collections.abc import Iterator

from tests.fuzz.target import Target
from vllmd.shim import protocol
from vllmd.shim.requests import Requests
from vllmd.shim.server import ShimConnection

SPEC = {
    "protocol": protocol.PROTOCOL,
    "argv": ["vllm", "serve"],
    "env": {"A": "b"},
    "cwd": "/",
    "engine": "chat",
    "run_id": "1",
    "command_hash": "a",
    "run_dir": "/run",
    "log": "/var/log/a",
    "stop_grace_s": 5,
    "tail_bytes": 1000,
    "secrets": ["s"],
    "rotation": {"max_bytes": 1, "period": "daily", "keep": 3, "budget_bytes": 5},
}


def _lines(data: bytes) -> Iterator[bytes]:
    """Take lines off what comes in two pieces, as the server does."""
    connection = ShimConnection(None)  # type: ignore[arg-type]  # nothing is sent
    cut = len(data) // 2
    for piece in (data[:cut], data[cut:]):
        connection.received += piece
        while (line := connection.next_line()) is not None:
            yield line


def _run(data: bytes) -> None:
    requests = Requests(
        status=lambda: {"a": 1},
        tail=lambda count: ["x"] * min(count, 3),
        stop=lambda grace_s: None,
        rotate=lambda: None,
        set_rotation=lambda rotation: None,
        stop_grace_s=5.0,
    )
    for line in _lines(data):
        assert len(line) <= len(data)
        try:
            message = protocol.parse_message(line)
        except ValueError as error:
            protocol.encode({"error": str(error)})
        else:
            protocol.encode(requests.answer(message))
    try:
        protocol.encode(protocol.parse_spec(data.partition(b"\n")[0]))
    except ValueError as error:
        str(error)


def _corpus() -> list[bytes]:
    asked = [{"op": op} for op in ("status", "rotate", "stop", "watch", "tail")]
    asked += [{"op": "stop", "grace_s": 1.5}, {"op": "tail", "lines": 3}]  # type: ignore[dict-item]
    asked += [{"op": "rotation", "rotation": SPEC["rotation"]}]  # type: ignore[dict-item]
    every = [protocol.encode(each) for each in asked]
    return [json.dumps(SPEC).encode() + b"\n", *every, b"".join(every)]


TARGET = Target(
    "shim",
    _run,
    _corpus,
    scraps=(
        b'{"op":',
        b'"grace_s":1e999',
        b"Infinity",
        b"\n",
        b"\\u0000",
        b"\\ud800",
        b"-0.0",
        b"{}",
        b'""',
    ),
)
