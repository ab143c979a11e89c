"""The package for arm64, in a Debian of that kind: it is emulated, so little is asked of it."""

import json
import os
from typing import Any

from .cases import case, stops_all
from .lifecycle import CONFIG
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


def main() -> None:
    """Run every case; leave an engine serving."""

    @case("installed: for arm64, disabled, its modules load")
    def _(row: Row) -> None:
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

    @case("enabled: an engine serves, the page has its metrics")
    def _(row: Row) -> None:
        with open(CONFIG_PATH, "w") as file:
            file.write(GPUS + CONFIG.replace("drain_s = 0", "drain_s = 4"))
        row["enable"] = sh("systemctl daemon-reload; systemctl enable --now vllmd")
        ready()
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
        row["answer"] = json.loads(get(f"{API}/v1/chat/completions", body))["usage"]
        page = until("the engine's page", _page_of_engine)
        row["lines of the page"] = page.count("\n")
        assert 'vllmd_engine_up{vllmd_engine="chat"} 1' in page

    @case("no NVML: the reader of GPUs says so, and nothing else suffers")
    def _(row: Row) -> None:
        row["vllmd gpu"] = sh("vllmd gpu")
        told = json.loads(sh("vllmd gpu --json"))
        assert told["problem"]["reason"] == "no_library"
        assert told["gpus"] == []
        assert 'vllmd_nvml_problem{reason="no_library"} 1' in get(f"{EXPORTER}/metrics")

    @case("an engine is killed: why, and it serves again")
    def _(row: Row) -> None:
        before, daemon = ready(), show("vllmd-daemon", "MainPID")
        # by its short name: the arguments that are overwritten are not those that the kernel shows
        sh("pkill -KILL VLLM::EngineCor")
        after = ready(other_than=before["run_id"])
        row["exit"] = after["last_exit"]["text"]
        row["cause"] = after["last_exit"]["diagnosis"]["cause"]
        assert row["cause"] == "engine_core_died"
        assert show("vllmd-daemon", "MainPID") == daemon
        row["why"] = sh("vllmd why chat").splitlines()[0]

    @case("systemctl stop: nothing is left")
    def _(row: Row) -> None:
        stops_all(row)

    @case("it serves, with time to drain")
    def _(_row: Row) -> None:
        sh("systemctl start vllmd")
        ready()


def _page_of_engine() -> str | None:
    page = get(f"{EXPORTER}/metrics")
    return page if "vllm:num_requests_running" in page else None
