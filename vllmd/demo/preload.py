"""The stand-in's `vllm preload`: a process for each rank, and its own side of an engine's load."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from vllmd.demo import weight_cache
from vllmd.demo.args import Args, PreloadArgs, parse_preload_args
from vllmd.demo.engine import LOAD_S
from vllmd.demo.output import say

FAILS = "VLLMD_STAND_IN_PRELOAD_FAILS"
"""Set: a rank ends before it is loaded, with these words."""
CONNECT_S = 5.0


def main(argv: Sequence[str]) -> int:
    """Keep weights until SIGTERM, or until every rank has ended.

    As with vLLM, the end of one rank does not end the others once all are loaded: they are waited
    for in their order. Source: `PreloadSubcommand.cmd` in vllm/entrypoints/cli/preload.py.
    """
    args = parse_preload_args(argv)
    if problem := os.environ.get(FAILS):
        say("WeightCache", problem, level="ERROR", source="daemon.py:291")
        return 1
    ranks = [_start(args, rank) for rank in range(args.ranks)]

    def shutdown(_number: int, _frame: FrameType | None) -> None:
        for each in ranks:
            each.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, shutdown)
    codes = [each.wait() for each in ranks]
    return max(0, *codes)


def _start(args: PreloadArgs, rank: int) -> subprocess.Popen[bytes]:
    words = (args.model, args.socket_dir, str(args.ranks), str(rank), os.environ.get(LOAD_S, "2"))
    return subprocess.Popen([sys.executable, "-m", "vllmd.demo.weights", *words])


def mapped(args: Args) -> bool:
    """Map the weights that are kept, as an engine does; tell whether that was possible.

    Source: `IpcModelLoader.load_model` in vLLM's ipc_loader.py, its fallback among it.
    """
    if args.weights_dir is None:
        return False
    for rank in range(args.ranks):
        problem = _map(args, rank)
        if problem is not None:
            text = f"Weight cache unusable ({problem}); falling back to disk loading"
            say("EngineCore", text, level="WARNING", source="ipc_loader.py:230")
            return False
    text = "Mapped 0 tensors from the weight cache daemon (zero_copy mode)"
    say("EngineCore", text, source="ipc_loader.py:300")
    return True


def _map(args: Args, rank: int) -> str | None:
    path = weight_cache.socket_path(str(args.weights_dir), weight_cache.uuid_of(rank))
    key = weight_cache.key_of(args.model, args.ranks, rank)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(CONNECT_S)
            connection.connect(path)
            weight_cache.send(connection, {"cmd": "get_state", "cache_config": key})
            answer = weight_cache.receive(connection)
    except (OSError, ValueError) as error:
        return f"Cannot connect to weight cache daemon at {path}: {error}"
    if answer["status"] == "mismatch":
        return f"WeightCacheKey mismatch on fields: {answer['fields']}"
    return None if answer["status"] == "ok" else str(answer.get("message"))
