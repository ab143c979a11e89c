"""Runs inside the booted system, with Debian's own Python: each case is a row of the table.

Prints nothing that matters; writes /opt/t/rows.json.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any

API = "http://127.0.0.1:8000"
EXPORTER = "http://127.0.0.1:9840"
CONFIG = """[engines.chat]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
stop_grace_s = 5
env = { VLLMD_STAND_IN_LOAD_S = "0.5", VLLMD_STAND_IN_DEATH_S = "0.3" }
restart = { initial_s = 0.3, max_s = 1 }
"""
DROP_IN = "[Service]\nWatchdogSec=4\nTimeoutStopSec=6\nRestartSec=500ms\n"
CONFIG_PATH = "/etc/vllmd/vllmd.toml"
rows: list[dict[str, Any]] = []


def sh(command: str) -> str:
    result = subprocess.run(
        ["/bin/bash", "-c", command], capture_output=True, text=True, check=False
    )
    return (result.stdout + result.stderr).strip()


def show(unit: str, key: str) -> str:
    return sh(f"systemctl show --property={key} --value {unit}")


def get(url: str, body: dict[str, Any] | None = None) -> str:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(response.read().decode())


def until(what: str, condition: Callable[[], Any], timeout_s: float = 30) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            if answer := condition():
                return answer
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"never came: {what}")


def status() -> dict[str, Any]:
    return dict(json.loads(sh("vllmd status --json")))


def engine() -> dict[str, Any]:
    try:
        return dict(status()["engines"][0])
    except (ValueError, IndexError):
        return {"state": "unknown", "run_id": None, "pid": None}


def ready(other_than: str | None = None) -> dict[str, Any]:
    def ask() -> dict[str, Any] | None:
        now = engine()
        return now if now["state"] == "ready" and now["run_id"] != other_than else None

    found: dict[str, Any] = until("a serving engine", ask)
    return found


def left() -> list[str]:
    found = sh("pgrep -fa 'vllmd[/ ](run|shim|demo)|vllmd/shim/__main__|vllmd.demo|VLLM::' || true")
    return [line for line in found.splitlines() if "pgrep" not in line and "inside.py" not in line]


class Load:
    """Requests to the engine and scrapes of the exporter, one after the other, counted."""

    def __init__(self) -> None:
        self.requests = self.scrapes = 0
        self.cut: list[str] = []  # scrapes that a killed daemon had already accepted
        self.failed: list[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=t) for t in (self._ask, self._ask, self._scrape)]

    def _ask(self) -> None:
        body = {"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
        while not self._done.is_set():
            try:
                get(f"{API}/v1/chat/completions", body)
                self.requests += 1
            except OSError as error:
                self.failed.append(f"request: {error!r}")

    def _scrape(self) -> None:
        while not self._done.wait(0.1):
            try:
                get(f"{EXPORTER}/metrics")
                get(f"{EXPORTER}/-/healthy")
                self.scrapes += 1
            except OSError as error:
                (self.failed if "refused" in repr(error) else self.cut).append(f"scrape: {error!r}")

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.5)
        self._done.set()
        for thread in self._threads:
            thread.join()


def case(title: str) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    def run(function: Callable[[dict[str, Any]], None]) -> None:
        row: dict[str, Any] = {"case": title, "ok": True}
        started = time.monotonic()
        try:
            function(row)
        except Exception:
            row.update(ok=False, error=traceback.format_exc())
            row["journal"] = sh("journalctl --no-pager -o cat -n 60 -u 'vllmd*'")
        row["seconds"] = round(time.monotonic() - started, 1)
        rows.append(row)
        with open("/opt/t/rows.json", "w") as file:
            json.dump(rows, file)

    return run


def serves_on(row: dict[str, Any], fault: Callable[[], object], *, orderly: bool) -> None:
    """Do something to the daemon under load: no failure, and the same engine after it.

    No request may fail and no scrape may be refused. A daemon that is killed cuts a scrape that it
    had already accepted; one that ends in an orderly way may not even do that.
    """
    before, daemon = ready(), show("vllmd-daemon", "MainPID")
    with Load() as load:
        fault()
        until(
            "another daemon",
            lambda: (
                show("vllmd-daemon", "MainPID") not in ("0", daemon)
                and show("vllmd-daemon", "ActiveState") == "active"
            ),
        )
        after = ready()
    row.update(requests=load.requests, scrapes=load.scrapes, failed=len(load.failed))
    row.update(cut=len(load.cut))
    assert load.failed == [], load.failed
    assert not (orderly and load.cut), load.cut
    assert load.requests > 0
    assert load.scrapes > 0
    assert (after["run_id"], after["pid"]) == (before["run_id"], before["pid"])
    assert after["adopted"]
    assert sh("pgrep -fc vllmd/shim/__main__") == "1"


def stops_all(row: dict[str, Any], command: str = "systemctl stop vllmd") -> None:
    started = time.monotonic()
    sh(command)
    row["stop_s"] = round(time.monotonic() - started, 1)
    row["left"] = left()
    assert row["left"] == []


def starve(row: dict[str, Any]) -> None:
    """Give the daemon less memory than it needs, until the kernel has killed it twice."""
    limit = "/etc/systemd/system/vllmd-daemon.service.d/memory.conf"
    control = "/sys/fs/cgroup/memory/system.slice/vllmd-daemon.service/memory.oom_control"
    kills = 0

    def killed() -> bool:
        nonlocal kills
        with open(control) as file:
            kills = max(kills, *(int(x.split()[1]) for x in file if x.startswith("oom_kill ")))
        return kills > 0

    restarts = int(show("vllmd-daemon", "NRestarts"))
    with open(limit, "w") as file:
        file.write("[Service]\nMemoryMax=20M\n")
    try:
        sh("systemctl daemon-reload; systemctl kill --signal=KILL --kill-who=main vllmd-daemon")
        until("an OOM kill", killed, 15)
        until("restarts", lambda: int(show("vllmd-daemon", "NRestarts")) >= restarts + 3, 15)
    finally:
        os.unlink(limit)
        sh("systemctl daemon-reload")
        row["oom_kills_seen"] = kills


def daemon_pid() -> int:
    return int(show("vllmd-daemon", "MainPID"))


def main() -> None:
    version = sh("systemctl --version | head -1").split()[1]

    @case("install: disabled, nothing runs")
    def _(row: dict[str, Any]) -> None:
        row["systemd"] = version
        row["dpkg"] = sh("dpkg -i /opt/t/vllmd_0.1.0_amd64.deb")[-300:]
        assert sh("systemctl is-enabled vllmd") == "disabled"
        assert sh("id -un vllmd") == "vllmd"
        assert left() == []
        os.makedirs("/etc/systemd/system/vllmd-daemon.service.d", exist_ok=True)
        with open("/etc/systemd/system/vllmd-daemon.service.d/test.conf", "w") as file:
            file.write(DROP_IN)
        sh("systemctl daemon-reload")

    @case("enable --now without an engine: active, scraped")
    def _(row: dict[str, Any]) -> None:
        row["enable"] = sh("systemctl enable --now vllmd")
        until("the page", lambda: "vllmd_build_info" in get(f"{EXPORTER}/metrics"))
        assert show("vllmd-daemon", "StatusText") == "no engine is configured"

    @case("an engine is configured: serves as a unit of its own")
    def _(row: dict[str, Any]) -> None:
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG)
        sh("systemctl restart vllmd-daemon")
        now = ready()
        with open(f"/proc/{now['pid']}/cgroup") as file:
            assert "vllmd-engine@" in file.read()
        assert "vllm:num_requests_running" in get(f"{EXPORTER}/metrics")
        until("its status", lambda: show("vllmd-daemon", "StatusText") == "chat: ready")
        row["user"] = sh(f"ps -o user= -p {now['pid']}")
        assert row["user"] == "vllmd"

    @case("kill -9 of the daemon under load")
    def _(row: dict[str, Any]) -> None:
        serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGKILL), orderly=False)

    @case("watchdog kill of a frozen daemon under load")
    def _(row: dict[str, Any]) -> None:
        # scrapes wait while the daemon is frozen; none may be refused
        serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGSTOP), orderly=False)
        row["result"] = sh("journalctl -u vllmd-daemon -o cat | grep -ci watchdog")

    @case("handover: systemctl restart vllmd-daemon under load")
    def _(row: dict[str, Any]) -> None:
        serves_on(row, lambda: sh("systemctl restart vllmd-daemon"), orderly=True)

    @case("kill -9 of the shim: its tree is gone, the engine restarted")
    def _(row: dict[str, Any]) -> None:
        before = ready()
        os.kill(before["shim_pid"], signal.SIGKILL)
        after = ready(other_than=before["run_id"])
        assert not os.path.exists(f"/proc/{before['pid']}")
        assert after["last_exit"]["label"] == "shim_lost"
        assert sh("pgrep -fc VLLM::EngineCore") == "1"

    @case("broken configuration: adopts, says so, goes on once mended")
    def _(row: dict[str, Any]) -> None:
        before = ready()
        with open(CONFIG_PATH, "a") as file:
            file.write("modle = 1\n")
        sh("systemctl restart vllmd-daemon")
        until("the daemon", lambda: "last_load_successful 0" in get(f"{EXPORTER}/metrics"))
        now = ready()
        assert now["run_id"] == before["run_id"]
        row["status"] = show("vllmd-daemon", "StatusText")
        assert "engines.chat.restart" in row["status"] or "modle" in row["status"]
        assert "vllmd check" in row["status"]
        assert "vllmd check" in sh("vllmd status")
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG)
        until("going on", lambda: "last_load_successful 1" in get(f"{EXPORTER}/metrics"))
        assert ready()["run_id"] == before["run_id"]

    @case("upgrade to 0.1.1 under load")
    def _(row: dict[str, Any]) -> None:
        install = "dpkg --force-confold -i /opt/t/vllmd_{}_amd64.deb"
        serves_on(row, lambda: sh(install.format("0.1.1")), orderly=True)
        assert status()["daemon"]["version"] == "0.1.1"

    @case("downgrade to 0.1.0 under load")
    def _(row: dict[str, Any]) -> None:
        install = "dpkg --force-confold -i /opt/t/vllmd_{}_amd64.deb"
        serves_on(row, lambda: sh(install.format("0.1.0")), orderly=True)
        assert status()["daemon"]["version"] == "0.1.0"

    @case("systemctl restart vllmd: a cold restart, exactly one shim")
    def _(row: dict[str, Any]) -> None:
        before = ready()
        sh("systemctl restart vllmd")
        after = ready(other_than=before["run_id"])
        time.sleep(1)
        assert after["adopted"] is False
        assert sh("pgrep -fc vllmd/shim/__main__") == "1"
        assert sh("pgrep -fc VLLM::EngineCore") == "1"

    @case("systemctl stop, daemon healthy")
    def _(row: dict[str, Any]) -> None:
        stops_all(row)

    @case("systemctl stop, daemon killed a moment before")
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        os.kill(daemon_pid(), signal.SIGKILL)
        stops_all(row)

    @case("OOM kill of the daemon under load, until it has memory again")
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        serves_on(row, lambda: starve(row), orderly=False)
        stops_all(row)

    @case("systemctl stop, daemon failed; the engine served on until then")
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        no_restart = "/etc/systemd/system/vllmd-daemon.service.d/zz-no-restart.conf"
        with open(no_restart, "w") as file:
            file.write("[Service]\nRestart=no\n")
        sh("systemctl daemon-reload")
        os.kill(daemon_pid(), signal.SIGKILL)
        until("failed", lambda: show("vllmd-daemon", "ActiveState") == "failed")
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
        get(f"{API}/v1/chat/completions", body)
        stops_all(row)
        os.unlink(no_restart)
        sh("systemctl daemon-reload; systemctl reset-failed")

    @case("systemctl stop, daemon frozen")
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        os.kill(daemon_pid(), signal.SIGSTOP)
        stops_all(row)

    @case("vllmd stop lasts across the daemon")
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        sh("vllmd stop chat")
        sh("systemctl restart vllmd-daemon")
        until("the daemon", lambda: status()["engines"])
        assert engine()["state"] == "stopped"
        sh("vllmd start chat --wait --timeout 30")
        ready()

    @case("remove: stopped and gone, conffile kept")
    def _(row: dict[str, Any]) -> None:
        row["dpkg"] = sh("dpkg -r vllmd")[-300:]
        row["left"] = left()
        assert row["left"] == []
        assert not os.path.exists("/usr/bin/vllmd")
        assert os.path.exists(CONFIG_PATH)

    @case("purge, reinstall")
    def _(row: dict[str, Any]) -> None:
        sh("dpkg -P vllmd")
        assert not os.path.exists(CONFIG_PATH)
        sh("dpkg -i /opt/t/vllmd_0.1.1_amd64.deb")
        assert sh("systemctl is-enabled vllmd") == "disabled"
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG + "flags = { shutdown-timeout = 4 }\n")
        sh("systemctl enable --now vllmd")
        ready()


DRAIN_TOKENS = 120


def drain_client() -> None:
    """Ask for something that takes longer than the shutdown takes to begin, and write it down."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is asked to end together with the engine
    body = {"model": "tiny", "max_tokens": DRAIN_TOKENS, "messages": []}
    try:
        answer = get(f"{API}/v1/chat/completions", body)
    except OSError as error:
        answer = json.dumps({"error": repr(error)})
    with open("/opt/t/drain.json", "w") as file:
        file.write(answer)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    if sys.argv[1:] == ["client"]:
        drain_client()
        sys.exit()
    try:
        main()
    finally:
        # the system goes down with a request in flight
        sh("systemd-run --unit=client /usr/bin/python3 /opt/t/inside.py client")
        time.sleep(0.7)
        os.sync()
        subprocess.run(["systemctl", "poweroff"], check=False)
