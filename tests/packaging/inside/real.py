"""A real vLLM (CPU build) in its unit, under the hardening of that unit."""

import os
import signal
from typing import Any

from . import installation
from .cases import Case, run, serves_on, stops_all
from .tools import CONFIG_PATH, daemon_pid, ready, sh

CONFIG = """[engines.tiny]
executable = "/opt/vllmd/vllm"
model = "/opt/vllmd/model/model"
served_model_name = "tiny"
max_model_len = 512
max_num_seqs = 4
unready_s = 1
drain_s = 15
stop_grace_s = 20
flags = { enforce-eager = true }
env = { HF_HUB_OFFLINE = "1", VLLM_NO_USAGE_STATS = "1", VLLM_CPU_KVCACHE_SPACE = "1" }
"""
PROGRAM = """#!/bin/sh
export PYTHONPATH=$(echo /opt/vllmd/engine/lib/python3.*/site-packages)
export LD_LIBRARY_PATH=/opt/vllmd/python/lib
exec /opt/vllmd/python/bin/python3 /opt/vllmd/engine/bin/vllm "$@"
"""
"""A virtual environment that is seen at another place, with the Python it was made from."""


def installed(row: dict[str, Any]) -> None:
    """Install, and enable a real vLLM."""
    with open("/opt/vllmd/vllm", "w") as file:
        file.write(PROGRAM)
    os.chmod("/opt/vllmd/vllm", 0o755)
    installation.install(row)
    with open(CONFIG_PATH, "w") as file:
        file.write(CONFIG)
    sh("systemctl enable --now vllmd")
    row["start_s"] = round(ready()["start_duration_s"])


def killed(row: dict[str, Any]) -> None:
    """Kill the daemon while requests are answered."""
    serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGKILL), orderly=False)


def upgraded(row: dict[str, Any]) -> None:
    """Upgrade while requests are answered."""
    install = "dpkg --force-confold -i /opt/t/vllmd_0.1.1_amd64.deb"
    serves_on(row, lambda: sh(install), orderly=True)


def loses_its_shim(row: dict[str, Any]) -> None:
    """Kill the shim: nothing of vLLM is left, shared memory included."""
    before, shared = ready(), set(os.listdir("/dev/shm"))
    assert any(name.startswith("psm_") for name in shared)
    os.kill(before["shim_pid"], signal.SIGKILL)
    after = ready(other_than=before["run_id"])
    assert not shared & set(os.listdir("/dev/shm")), "shared memory that the kill left"
    assert not os.path.exists(f"/proc/{before['pid']}")
    assert after["last_exit"]["label"] == "shim_lost"
    assert sh("pgrep -fc VLLM::EngineCore") == "1"


def stopped_and_started(row: dict[str, Any]) -> None:
    """Stop all, and start again."""
    before = set(os.listdir("/dev/shm"))  # what the engine that was killed left there, too
    stops_all(row)
    row["shm_left"] = sorted(os.listdir("/dev/shm"))
    assert set(row["shm_left"]) <= before
    sh("systemctl start vllmd")
    ready()


CASES = (
    Case("install, enable --now: a real vLLM serves from its unit", installed),
    Case("real vLLM: kill -9 of the daemon under load", killed),
    Case("real vLLM: upgrade to 0.1.1 under load", upgraded),
    Case("real vLLM: kill -9 of the shim: its tree is gone, serving again", loses_its_shim),
    Case("real vLLM: systemctl stop, start", stopped_and_started),
)


def main() -> None:
    """Install, serve, survive the daemon's death and upgrade, stop; leave an engine serving."""
    for each in CASES:
        run(each)
