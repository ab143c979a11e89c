"""Every way to stop: nothing is left, whatever the daemon is doing."""

import os
import signal
import time
from typing import Any

from .cases import stops_all
from .tools import (
    API,
    SOCKETS,
    daemon_pid,
    engine,
    get,
    ready,
    sh,
    show,
    status,
    until,
)


def restart(_row: dict[str, Any]) -> None:
    """Restart the umbrella: the engine begins anew, under one shim."""
    before = ready()
    sh("systemctl restart vllmd")
    after = ready(other_than=before["run_id"])
    time.sleep(1)
    assert after["adopted"] is False
    assert sh("pgrep -fc vllmd/shim/__main__") == "1"
    assert sh("pgrep -fc VLLM::EngineCore") == "1"


def after_a_kill(row: dict[str, Any]) -> None:
    """Stop all a moment after the daemon was killed."""
    sh("systemctl start vllmd")
    ready()
    os.kill(daemon_pid(), signal.SIGKILL)
    stops_all(row)


def of_a_failed_daemon(row: dict[str, Any]) -> None:
    """Stop all with a daemon that failed; until then the engine serves on."""
    sh("systemctl start vllmd")
    ready()
    no_restart = "/etc/systemd/system/vllmd-daemon.service.d/zz-no-restart.conf"
    with open(no_restart, "w") as file:
        file.write("[Service]\nRestart=no\n")
    sh(f"systemctl daemon-reload; systemctl stop {SOCKETS}")
    os.kill(daemon_pid(), signal.SIGKILL)
    until("failed", lambda: show("vllmd-daemon", "ActiveState") == "failed")
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    get(f"{API}/v1/chat/completions", body)
    assert show("vllmd-daemon", "ActiveState") == "failed"
    stops_all(row)
    os.unlink(no_restart)
    sh("systemctl daemon-reload; systemctl reset-failed")


def of_a_frozen_daemon(row: dict[str, Any]) -> None:
    """Stop all with a daemon that does not answer."""
    sh("systemctl start vllmd")
    ready()
    os.kill(daemon_pid(), signal.SIGSTOP)
    stops_all(row)


def across_the_daemon(_row: dict[str, Any]) -> None:
    """Stop the engine by hand: the next daemon leaves it stopped."""
    sh("systemctl start vllmd")
    ready()
    sh("vllmd stop chat")
    sh("systemctl restart vllmd-daemon")
    until("the daemon", lambda: status()["engines"])
    assert engine()["state"] == "stopped"
    sh("vllmd start chat --wait --timeout 30")
    ready()
