"""The package for arm64, in a Debian of that kind: it is emulated, so little is asked of it."""

import json
import os
from typing import Any

from .cases import Case, run, stops_all
from .config import CONFIG
from .tools import API, CONFIG_PATH, EXPORTER, get, ready, sh, show, until

SHIM = "/usr/lib/vllmd/site/vllmd/shim/__main__.py"
DROP_INS = {
    "vllmd-daemon.service": "LoadCredential=\nWatchdogSec=600\nTimeoutStartSec=600\n",
    "vllmd-engine@.service": "LoadCredential=\nExecStart=\n"
    f"ExecStart=/usr/bin/python3 -I -S -B /opt/t/inside/emulated_shim.py {SHIM}\n",
}
"""What qemu-user cannot do: clone() into a new namespace, which hands over credentials, and
prctl(PR_SET_CHILD_SUBREAPER)."""
GPUS = '[gpu]\nsource = "nvml"\n\n'
"""Readers are to be started although the host has no GPU."""

Row = dict[str, Any]


def installed(row: Row) -> None:
    """Install the package for arm64: its compiled modules load."""
    row["systemd"] = sh("systemctl --version | head -1").split()[1]
    row["machine"] = f"{sh('uname -m')}, {sh('dpkg --print-architecture')}"
    assert row["machine"] == "aarch64, arm64"
    row["dpkg"] = sh("dpkg -i /opt/t/vllmd_*_arm64.deb")[-300:]
    assert sh("dpkg-query -W -f '${db:Status-Status}' vllmd") == "installed", row["dpkg"]
    assert sh("systemctl is-enabled vllmd") == "disabled"
    modules = "bcrypt, psutil, google._upb._message"
    assert sh(f"PYTHONPATH=/usr/lib/vllmd/site python3 -c 'import {modules}'") == ""
    for unit, lines in DROP_INS.items():
        os.makedirs(f"/etc/systemd/system/{unit}.d")
        with open(f"/etc/systemd/system/{unit}.d/emulated.conf", "w") as file:
            file.write(f"[Service]\n{lines}")


def serves(row: Row) -> None:
    """Enable it: an engine serves, and the page has its metrics."""
    with open(CONFIG_PATH, "w") as file:
        file.write(GPUS + CONFIG.replace("drain_s = 0", "drain_s = 4"))
    row["enable"] = sh("systemctl daemon-reload; systemctl enable --now vllmd")
    ready()
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    row["answer"] = json.loads(get(f"{API}/v1/chat/completions", body))["usage"]
    page = until("the engine's page", _page_of_engine)
    row["lines of the page"] = page.count("\n")
    assert 'vllmd_engine_up{vllmd_engine="chat"} 1' in page


def no_nvml(row: Row) -> None:
    """Look at GPUs on a host without any."""
    row["vllmd gpu"] = sh("vllmd gpu")
    told = json.loads(sh("vllmd gpu --json"))
    assert told["problem"]["reason"] == "no_library"
    assert told["gpus"] == []
    assert 'vllmd_nvml_problem{reason="no_library"} 1' in get(f"{EXPORTER}/metrics")


def engine_is_killed(row: Row) -> None:
    """Kill the engine: the cause is known, and it serves again."""
    before, daemon = ready(), show("vllmd-daemon", "MainPID")
    # by its short name: the arguments that are overwritten are not those that the kernel shows
    sh("pkill -KILL VLLM::EngineCor")
    after = ready(other_than=before["run_id"])
    row["exit"] = after["last_exit"]["text"]
    row["cause"] = after["last_exit"]["diagnosis"]["cause"]
    assert row["cause"] == "engine_core_died"
    assert show("vllmd-daemon", "MainPID") == daemon
    row["why"] = sh("vllmd why chat").splitlines()[0]


def serves_with_time_to_drain(_row: Row) -> None:
    """Leave an engine serving that may take its time to drain."""
    sh("systemctl start vllmd")
    ready()


CASES = (
    Case("installed: for arm64, disabled, its modules load", installed),
    Case("enabled: an engine serves, the page has its metrics", serves),
    Case("no NVML: the reader of GPUs says so, and nothing else suffers", no_nvml),
    Case("an engine is killed: why, and it serves again", engine_is_killed),
    Case("systemctl stop: nothing is left", stops_all),
    Case("it serves, with time to drain", serves_with_time_to_drain),
)


def main() -> None:
    """Run every case; leave an engine serving."""
    for each in CASES:
        run(each)


def _page_of_engine() -> str | None:
    page = get(f"{EXPORTER}/metrics")
    return page if "vllm:num_requests_running" in page else None
