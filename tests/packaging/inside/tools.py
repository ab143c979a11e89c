"""What the cases look at the system with."""

import base64
import http.client
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

API = "http://127.0.0.1:8000"
EXPORTER = "http://127.0.0.1:9840"
OTLP = "http://127.0.0.1:4318"
OTLP_GRPC = ("127.0.0.1", 4317)
CONFIG_PATH = "/etc/vllmd/vllmd.toml"
SOCKETS = "vllmd-exporter.socket vllmd-otlp-http.socket vllmd-otlp-grpc.socket"
"""Who asks one of them starts the daemon again: a scrape, or an engine's span."""
PATIENCE = float(os.environ.get("PATIENCE", "1"))
"""How much longer than on a real processor things may take."""


def sh(command: str) -> str:
    result = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, check=False
    )
    return (result.stdout + result.stderr).strip()


def show(unit: str, key: str) -> str:
    return sh(f"systemctl show --property={key} --value {unit}")


def get(
    url: str,
    body: dict[str, Any] | None = None,
    timeout_s: float = 30,
    login: tuple[str, str] | None = None,
) -> str:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    if login:
        words = base64.b64encode(":".join(login).encode()).decode()
        request.add_header("Authorization", f"Basic {words}")
    with urllib.request.urlopen(request, timeout=timeout_s * PATIENCE) as response:
        return str(response.read().decode())


def until(what: str, condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    end = time.monotonic() + timeout_s * PATIENCE
    while time.monotonic() < end:
        try:
            if answer := condition():
                return answer
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    raise AssertionError(f"never came: {what}")


class _Control(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10 * PATIENCE)
        self.sock.connect("/run/vllmd/control.sock")


def status() -> dict[str, Any]:
    """Ask the daemon itself: where Python is slow, `vllmd status --json` takes seconds."""
    connection = _Control("vllmd")
    try:
        connection.request("GET", "/v1/status")
        return dict(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


def engine() -> dict[str, Any]:
    try:
        return dict(status()["engines"][0])
    except (OSError, http.client.HTTPException, ValueError, IndexError):
        return {"state": "unknown", "run_id": None, "pid": None}


def ready(other_than: str | None = None) -> dict[str, Any]:
    def ask() -> dict[str, Any] | None:
        now = engine()
        return now if now["state"] == "ready" and now["run_id"] not in (None, other_than) else None

    found: dict[str, Any] = until("a serving engine", ask, 240)
    return found


def left() -> list[str]:
    found = sh("pgrep -fa 'vllmd[/ ](run|shim|demo)|vllmd/shim/__main__|vllmd.demo|VLLM::' || true")
    return [line for line in found.splitlines() if "pgrep" not in line]


def daemon_pid() -> int:
    return int(show("vllmd-daemon", "MainPID"))
