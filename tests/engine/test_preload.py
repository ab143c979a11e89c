"""`vllm preload` of the vLLM that is installed: its flags, its sockets, what its weights depend on.

A CPU has no CUDA IPC, so neither program runs here as a whole: tests/gpu does that. What is run is
vLLM's own client against the stand-in's socket, its own daemon's socket against vllmd, its two
parsers, and its load of a model with each flag that is said to leave weights as they are.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.real import program_and_model
from tests.helpers.site import wait_for
from vllmd.config import preload
from vllmd.config.preload import NO_EFFECT, OTHER_FLAGS, SERVING_FLAGS
from vllmd.demo import weight_cache
from vllmd.engine.weights import sockets

SCRIPT = Path(__file__).with_name("weight_cache.py")
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}

VALUES: Mapping[str, tuple[str, ...]] = {
    "collect-detailed-traces": ("--otlp-traces-endpoint", "http://127.0.0.1:1", "all"),
    "custom-histogram-buckets": ('{"time_to_first_token": [1, 2]}',),
    "generation-config": ("vllm",),
    "kv-cache-memory-bytes": ("1000000000",),
    "kv-cache-metrics-sample": ("0.5",),
    "kv-events-config": ('{"enable_kv_cache_events": true, "publisher": "null"}',),
    "logprobs-mode": ("raw_logits",),
    "long-prefill-token-threshold": ("64",),
    "max-logprobs": ("3",),
    "max-num-queued-reqs": ("7",),
    "max-num-queued-tokens": ("700",),
    "media-io-kwargs": ('{"image": {}}',),
    "mm-processor-cache-gb": ("1",),
    "mm-processor-cache-type": ("shm",),
    "mm-shm-cache-max-object-size-mb": ("7",),
    "num-gpu-blocks-override": ("64",),
    "otlp-traces-endpoint": ("http://127.0.0.1:1",),
    "override-generation-config": ('{"temperature": 0.5}',),
    "prefix-caching-hash-algo": ("sha256_cbor",),
    "reasoning-parser": ("qwen3",),
    "reasoning-parser-plugin": ("",),
    "scheduling-policy": ("priority",),
    "show-hidden-metrics-for-version": ("0.31",),
    "stream-interval": ("3",),
    "structured-outputs-config": ('{"backend": "auto"}',),
}
"""Other values than vLLM's own; flags that are not here take none."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "gpu-memory-utilization": ("0.3",),
    "max-num-seqs": ("7",),
    "enable-prefix-caching": (),
    "served-model-name": ("x",),
}
"""Flags of vllmd's own keys that are left out of `vllm preload` too."""


def run(what: str, *more: str, folder: str = "") -> dict[str, Any]:
    program, model = program_and_model()
    python = program.with_name("python")
    command = [str(python), str(SCRIPT), what, str(model / "model"), folder, *more]
    done = subprocess.run(
        command, env={**os.environ, **OFFLINE}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name:
        yield name


def test_flags_of_the_api_server_alone_are_the_ones_that_are_left_out() -> None:
    found = run("parsers")
    serve, both = set(found["serve"]), set(found["preload"])
    only = {name for name in serve - both if not name.startswith("no-")}
    elsewhere = {"host", "port", "lora-modules"} | {"api-key", "uds", "headless", "config"}
    elsewhere |= {"ssl-keyfile"} & SERVING_FLAGS
    refused = {"data-parallel-supervisor-port", *(n for n in only if n.startswith("dp-supervisor"))}
    assert only - elsewhere - refused == SERVING_FLAGS - {"ssl-keyfile"}
    assert both >= OTHER_FLAGS
    assert "weight-cache-socket-dir" in both


def test_model_is_the_same_with_each_flag_that_is_said_to_leave_it_so() -> None:
    cases = {"[]": ""}
    for name, value in {**{n: VALUES.get(n, ()) for n in OTHER_FLAGS}, **KEYS}.items():
        words = [f"--{name}", *value]
        if name == "collect-detailed-traces":
            words = [*value[:2], f"--{name}", value[2]]
        cases[json.dumps(words)] = name
    touching = '["--dtype", "bfloat16"]'
    found = run("models", *cases, touching)
    assert {each: found[each] for each in cases if found[each] != found["[]"]} == {}
    assert found[touching] != found["[]"], "what does touch them is seen"


def test_real_client_maps_what_the_stand_in_hands_out(folder: str) -> None:
    _, model = program_and_model()
    words = ("preload", "--model", str(model / "model"), "--weight-cache-socket-dir", folder)
    started = subprocess.Popen(
        [sys.executable, "-m", "vllmd.demo", *words],
        env={**os.environ, "VLLMD_STAND_IN_LOAD_S": "0"},
    )
    try:
        wait_for("the stand-in", lambda: sockets.listening(Path(folder)) == 1)
        found = run("client", folder=folder)
    finally:
        started.terminate()
        started.wait()
    assert found == {
        "path": weight_cache.socket_path(folder, weight_cache.uuid_of(0)),
        "memory": weight_cache.MEMORY_BYTES,
        "entries": 0,
        "mismatch": "WeightCacheKey mismatch on fields: ['tp_size']",
    }


def test_real_daemon_is_seen_by_its_socket_and_answers_as_the_stand_in_does(folder: str) -> None:
    program, model = program_and_model()
    command = [str(program.with_name("python")), str(SCRIPT), "serve", str(model / "model"), folder]
    assert sockets.listening(Path(folder)) == 0
    started = subprocess.Popen(command, env={**os.environ, **OFFLINE})
    try:
        wait_for("the daemon", lambda: sockets.listening(Path(folder)) == 1, 120)
        path = weight_cache.socket_path(folder, weight_cache.uuid_of(0))
        assert len(Path(path).name) <= preload.MAX_SOCKET_NAME
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            weight_cache.send(connection, {"cmd": "get_memory"})
            assert weight_cache.receive(connection) == {"status": "ok", "memory_bytes": 12345}
    finally:
        started.kill()
        started.wait()
    assert Path(path).exists(), "who is killed leaves its file"
    assert sockets.listening(Path(folder)) == 0


def test_every_flag_that_is_left_out_is_one_of_these_lists() -> None:
    assert NO_EFFECT == SERVING_FLAGS | OTHER_FLAGS
    assert set(VALUES) <= OTHER_FLAGS
