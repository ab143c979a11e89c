"""What the daemon may suffer while the engine serves on."""

import os
import signal
from typing import Any

from . import classic
from .cases import BRIEF, serves_on, stops_all
from .config import CONFIG
from .tools import (
    SOCKETS,
    daemon_pid,
    ready,
    sh,
    show,
    until,
)


def starve(row: dict[str, Any]) -> None:
    """Give the daemon less memory than it needs, until the kernel has killed it twice.

    Once is enough in an emulated machine, where each of its starts takes a minute.
    """
    limit = "/etc/systemd/system/vllmd-daemon.service.d/memory.conf"
    ours = show("vllmd-daemon", "ExecMainPID")
    killed: set[str] = set()

    def enough_killed() -> bool:
        # not by the control group's count of OOM kills: it is gone with each restart
        pid, status = (show("vllmd-daemon", f"ExecMain{key}") for key in ("PID", "Status"))
        if status == "9" and pid != ours:  # nobody else sends that signal
            killed.add(pid)
        return len(killed) >= (1 if BRIEF else 2)

    with open(limit, "w") as file:
        file.write("[Service]\nMemoryMax=20M\n")
    try:
        sh("systemctl daemon-reload; systemctl kill --signal=KILL --kill-who=main vllmd-daemon")
        until("OOM kills", enough_killed)
    finally:
        os.unlink(limit)
        sh("systemctl daemon-reload")
        row["oom_kills"] = len(killed)


def killed(row: dict[str, Any]) -> None:
    """Kill the daemon while requests are answered."""
    serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGKILL), orderly=False)


def frozen(row: dict[str, Any]) -> None:
    """Freeze the daemon until systemd kills it."""
    # scrapes wait while the daemon is frozen; none may be refused
    serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGSTOP), orderly=False)
    row["result"] = sh("journalctl -u vllmd-daemon -o cat | grep -ci watchdog")


def restarted(row: dict[str, Any]) -> None:
    """Restart the daemon alone: an orderly handover."""
    serves_on(row, lambda: sh("systemctl restart vllmd-daemon"), orderly=True)


def stopped_for_a_while(row: dict[str, Any]) -> None:
    """Stop the daemon: the engine serves on, and is adopted by the next one."""
    before = ready()
    names = f"{SOCKETS} vllmd-daemon"
    sh(f"systemctl stop {names}")
    row["state"] = sh("systemctl is-active vllmd-daemon vllmd || true").split()
    assert row["state"] == ["inactive", "active"]
    assert os.path.exists(f"/proc/{before['pid']}")
    sh(f"systemctl start {names}")
    after = ready()
    assert (after["pid"], after["run_id"]) == (before["pid"], before["run_id"])


def out_of_memory(row: dict[str, Any]) -> None:
    """Have the kernel kill the daemon, for want of memory, again and again."""
    sh("systemctl start vllmd")
    ready()
    serves_on(row, lambda: starve(row), orderly=False)
    stops_all(row)


def beside_the_classic_unit(row: dict[str, Any]) -> None:
    """Compare with the unit that people write by hand."""
    if "bookworm" not in sh("cat /etc/os-release"):
        row["not_run"] = "it is in bookworm, and takes a minute"
        return
    classic.compare(row, CONFIG + "liveness = { stall_s = 3 }\n")
