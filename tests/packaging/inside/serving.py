"""An engine in its unit: it serves, loses its shim, has a log, and says why it ended."""

import os
import signal
from typing import Any

from . import package
from .config import CONFIG, configure
from .tools import (
    EXPORTER,
    engine,
    get,
    ready,
    sh,
    show,
    until,
)


def in_its_unit(row: dict[str, Any]) -> None:
    """Configure an engine: it serves, in a unit of its own, as its own user."""
    configure(CONFIG)
    sh("systemctl restart vllmd-daemon")
    now = ready()
    with open(f"/proc/{now['pid']}/cgroup") as file:
        assert "vllmd-engine@" in file.read()
    assert "vllm:num_requests_running" in get(f"{EXPORTER}/metrics")
    until("its status", lambda: show("vllmd-daemon", "StatusText") == "chat: ready")
    row["user"] = sh(f"ps -o user= -p {now['pid']}")
    assert row["user"] == "vllmd"


def shows_its_load(row: dict[str, Any]) -> None:
    """Read in the status of the unit how far a load has come."""
    package.status_text(row, CONFIG)


def loses_its_shim(_row: dict[str, Any]) -> None:
    """Kill the shim: its tree goes with it, and the engine is started again."""
    before = ready()
    os.kill(before["shim_pid"], signal.SIGKILL)
    after = ready(other_than=before["run_id"])
    assert not os.path.exists(f"/proc/{before['pid']}")
    assert after["last_exit"]["label"] == "shim_lost"
    assert sh("pgrep -fc VLLM::EngineCore") == "1"


def says_why(row: dict[str, Any]) -> None:
    """Ask why with the daemon and without: the words are the same."""
    up = " ".join(sh("vllmd why chat").split())
    assert "its shim was killed" in up, up
    assert "it serves again since" in up, up
    row["file"] = sh("stat -c '%U %a' /var/lib/vllmd/vllmd.db")
    assert row["file"] == "vllmd 640"
    kernel = f"{engine()['last_exit']['incident']}/kernel.log"
    until("the kernel's lines", lambda: os.path.exists(kernel))
    row["kernel"] = sh(f"head -c 100 {kernel}")
    assert "cannot be read" not in row["kernel"], row["kernel"]
    sh("systemctl stop vllmd-daemon")
    down = " ".join(sh("vllmd why chat").split())
    assert down.partition(", at ")[2] == up.partition(", at ")[2], down
    sh("systemctl start vllmd-daemon")
    ready()


def keeps_its_log(row: dict[str, Any]) -> None:
    """Rotate the log: compressed, of its own user, and in the journal with fields."""
    configure(f"{CONFIG}\n[logs]\njournal = true\n")
    sh("systemctl restart vllmd-daemon")
    ready()
    for _ in range(2):
        sh("vllmd logs rotate chat")
        sh("vllmd restart chat --wait")
    copied = sh("journalctl -q VLLMD_ENGINE=chat SYSLOG_IDENTIFIER=vllm -o cat | tail -n 1")
    assert copied in sh("vllmd logs chat --all"), copied
    row["lines_copied"] = sh("journalctl -q VLLMD_ENGINE=chat PRIORITY=6 -o cat | wc -l")
    assert int(row["lines_copied"]) > 0
    configure(CONFIG)
    sh("systemctl restart vllmd-daemon")  # it compresses at its start
    packed = "/var/log/vllmd/chat.log.000001.gz"
    until("a compressed file", lambda: os.path.exists(packed))
    row["file"] = sh(f"stat -c '%U %a' {packed}")
    assert row["file"] == "vllmd 640"
    assert sh("stat -c '%U %a' /var/log/vllmd/chat.log") == "vllmd 640"
    ready()


def with_time_to_drain(row: dict[str, Any]) -> None:
    """Leave an engine serving that may take its time to drain."""
    configure(CONFIG.replace("drain_s = 0", "drain_s = 4"))
    row["enable"] = sh("systemctl enable --now vllmd")
    ready()
