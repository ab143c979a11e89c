"""The life of the package, from its installation to its purge, with the stand-in engine."""

import os
import signal
import time
from typing import Any

from . import apt, classic, first_run, gpu, package
from .cases import BRIEF, case, serves_on, stops_all
from .load import Load
from .tools import (
    API,
    CONFIG_PATH,
    EXPORTER,
    PATIENCE,
    daemon_pid,
    engine,
    get,
    left,
    ready,
    sh,
    show,
    status,
    until,
)

CONFIG = """[engines.chat]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
unready_s = 0.5
drain_s = 0
stop_grace_s = 5
env = { VLLMD_STAND_IN_LOAD_S = "0.5", VLLMD_STAND_IN_DEATH_S = "0.3" }
restart = { initial_s = 0.3, max_s = 1 }
"""
DROP_IN = f"[Service]\nWatchdogSec={4 * PATIENCE:.0f}\nTimeoutStopSec=6\nRestartSec=500ms\n"


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


def install(row: dict[str, Any]) -> None:
    """Install the older package, and look that it only lies there."""
    row["systemd"] = sh("systemctl --version | head -1").split()[1]
    apt.install(row, "0.1.0")
    assert sh("systemctl is-enabled vllmd") == "disabled"
    assert sh("id -un vllmd") == "vllmd"
    assert left() == []


def main() -> None:
    """Run every case; leave an engine serving."""

    @case("apt install from a signed repository: disabled, nothing runs")
    def _(row: dict[str, Any]) -> None:
        install(row)
        os.makedirs("/etc/systemd/system/vllmd-daemon.service.d", exist_ok=True)
        with open("/etc/systemd/system/vllmd-daemon.service.d/test.conf", "w") as file:
            file.write(DROP_IN)
        sh("systemctl daemon-reload")

    @case("hardening of the units, beside those of others", again=False)
    def _(row: dict[str, Any]) -> None:
        package.hardening(row)

    @case("debian/tests: serves, dies, says why, serves again, stops", again=False)
    def _(row: dict[str, Any]) -> None:
        package.autopkgtest(row)

    @case("enable --now without an engine: active, scraped")
    def _(row: dict[str, Any]) -> None:
        row["enable"] = sh("systemctl enable --now vllmd")
        until("the page", lambda: "vllmd_build_info" in get(f"{EXPORTER}/metrics"))
        assert show("vllmd-daemon", "StatusText") == "no engine is configured"

    @case("manual pages, completions, the GPU unit on a host without one", again=False)
    def _(row: dict[str, Any]) -> None:
        package.what_lies_there(row)

    @case("runbooks, rules and configurations came along", again=False)
    def _(row: dict[str, Any]) -> None:
        row["runbooks"] = len(sh("vllmd runbook").split())
        assert "<h1>VllmdDown</h1>" in get(f"{EXPORTER}/runbooks/VllmdDown")
        written = sh("vllmd rules export --output /tmp/rules").splitlines()
        row["rule files"] = len(written)
        sh("vllmd dashboard export --output /tmp/dashboards")
        for name in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml", "grafana"):
            assert os.path.exists(f"/usr/share/doc/vllmd/examples/{name}"), name

    @case("first run: init, a start without vLLM, engine install, it serves", again=False)
    def _(row: dict[str, Any]) -> None:
        first_run.configuration_first(row)

    @case("first run: engine install, init, enable --now, it serves", again=False)
    def _(row: dict[str, Any]) -> None:
        first_run.engine_first(row)

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

    @case("STATUS: the phase of a load, and what is left of it", again=False)
    def _(row: dict[str, Any]) -> None:
        package.status_text(row, CONFIG)

    @case("kill -9 of the daemon under load", again=False)
    def _(row: dict[str, Any]) -> None:
        serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGKILL), orderly=False)

    @case("watchdog kill of a frozen daemon under load", again=False)
    def _(row: dict[str, Any]) -> None:
        # scrapes wait while the daemon is frozen; none may be refused
        serves_on(row, lambda: os.kill(daemon_pid(), signal.SIGSTOP), orderly=False)
        row["result"] = sh("journalctl -u vllmd-daemon -o cat | grep -ci watchdog")

    @case("handover: systemctl restart vllmd-daemon under load", again=False)
    def _(row: dict[str, Any]) -> None:
        serves_on(row, lambda: sh("systemctl restart vllmd-daemon"), orderly=True)

    @case(
        "daemon and its ports stopped for a while: the engine serves on, and is adopted",
        again=False,
    )
    def _(row: dict[str, Any]) -> None:
        before = ready()
        # with its sockets: a scrape, or an engine's span, would start it again
        names = "vllmd-exporter.socket vllmd-otlp-http.socket vllmd-otlp-grpc.socket vllmd-daemon"
        sh(f"systemctl stop {names}")
        row["state"] = sh("systemctl is-active vllmd-daemon vllmd || true").split()
        assert row["state"] == ["inactive", "active"]
        assert os.path.exists(f"/proc/{before['pid']}")
        sh(f"systemctl start {names}")
        after = ready()
        assert (after["pid"], after["run_id"]) == (before["pid"], before["run_id"])

    @case("kill -9 of the shim: its tree is gone, the engine restarted")
    def _(row: dict[str, Any]) -> None:
        before = ready()
        os.kill(before["shim_pid"], signal.SIGKILL)
        after = ready(other_than=before["run_id"])
        assert not os.path.exists(f"/proc/{before['pid']}")
        assert after["last_exit"]["label"] == "shim_lost"
        assert sh("pgrep -fc VLLM::EngineCore") == "1"

    @case("gpu: a library's readings, by owner, under the unit's hardening", again=False)
    def _(row: dict[str, Any]) -> None:
        gpu.owners_are_told(row)

    @case(
        "why: the same words with the daemon up and down, from a file of its own user",
        again=False,
    )
    def _(row: dict[str, Any]) -> None:
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

    @case(
        "logs: rotated and compressed as their own user, copied to the journal with fields",
        again=False,
    )
    def _(row: dict[str, Any]) -> None:
        with open(CONFIG_PATH, "w") as file:
            file.write(f"{CONFIG}\n[logs]\njournal = true\n")
        sh("systemctl restart vllmd-daemon")
        ready()
        for _ in range(2):
            sh("vllmd logs rotate chat")
            sh("vllmd restart chat --wait")
        copied = sh("journalctl -q VLLMD_ENGINE=chat SYSLOG_IDENTIFIER=vllm -o cat | tail -n 1")
        assert copied in sh("vllmd logs chat --all"), copied
        row["lines_copied"] = sh("journalctl -q VLLMD_ENGINE=chat PRIORITY=6 -o cat | wc -l")
        assert int(row["lines_copied"]) > 0
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG)
        sh("systemctl restart vllmd-daemon")  # it compresses at its start
        packed = "/var/log/vllmd/chat.log.000001.gz"
        until("a compressed file", lambda: os.path.exists(packed))
        row["file"] = sh(f"stat -c '%U %a' {packed}")
        assert row["file"] == "vllmd 640"
        assert sh("stat -c '%U %a' /var/log/vllmd/chat.log") == "vllmd 640"
        ready()

    @case("journal: the daemon's events have fields, and read well", again=False)
    def _(row: dict[str, Any]) -> None:
        package.journal(row)

    @case("secrets: an API key from /etc/vllmd/credentials")
    def _(row: dict[str, Any]) -> None:
        package.secrets(row)

    @case("secrets: one that came after the daemon is named", again=False)
    def _(row: dict[str, Any]) -> None:
        package.late_secret(row)

    @case("exporter: asks for a password; its socket's unit decides where it listens", again=False)
    def _(row: dict[str, Any]) -> None:
        package.exporter_access(row)

    @case("needrestart leaves vllmd alone", again=False)
    def _(row: dict[str, Any]) -> None:
        package.needrestart(row)

    @case("broken configuration: adopts, says so, goes on once mended", again=False)
    def _(row: dict[str, Any]) -> None:
        before = ready()
        with open(CONFIG_PATH, "a") as file:
            file.write("modle = 1\n")
        sh("systemctl restart vllmd-daemon")
        until("the daemon", lambda: "last_reload_successful 0" in get(f"{EXPORTER}/metrics"))
        now = ready()
        assert now["run_id"] == before["run_id"]
        row["status"] = show("vllmd-daemon", "StatusText")
        assert "engines.chat.restart" in row["status"] or "modle" in row["status"]
        assert "vllmd check" in row["status"]
        assert "vllmd check" in sh("vllmd status")
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG)
        until("going on", lambda: "last_reload_successful 1" in get(f"{EXPORTER}/metrics"))
        assert ready()["run_id"] == before["run_id"]

    @case("reload under load: a broken file changes nothing, a good one is read", again=False)
    def _(row: dict[str, Any]) -> None:
        before, daemon = ready(), show("vllmd-daemon", "MainPID")
        with Load() as load:
            with open(CONFIG_PATH, "w") as file:
                file.write("modle = 1\n")
            sh("systemctl reload vllmd-daemon")
            refused = until(
                "a refusal", lambda: sh("journalctl -o cat -u vllmd-daemon | grep modle")
            )
            assert "nothing changed" in refused
            assert ready()["model"] == before["model"]
            with open(CONFIG_PATH, "w") as file:
                file.write(CONFIG.replace("org/model", "org/other"))
            sh("systemctl reload vllmd-daemon")
            until("the new file", lambda: engine().get("command_changed"))
            after = ready()
        row.update(requests=load.requests, scrapes=load.scrapes, failed=len(load.failed))
        assert load.failed == load.cut == []
        keys = ("run_id", "model", "since", "adopted")  # it serves what it was started with
        assert [after[key] for key in keys] == [before[key] for key in keys]
        assert show("vllmd-daemon", "MainPID") == daemon
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG)
        sh("systemctl reload vllmd-daemon")
        until("the old file", lambda: engine().get("command_changed") is False)

    @case("apt upgrade to 0.1.1 under load", again=False)
    def _(row: dict[str, Any]) -> None:
        apt.unsigned_is_refused()
        apt.apt("update")
        command = "-o Dpkg::Options::=--force-confold upgrade"
        serves_on(row, lambda: apt.apt(command), orderly=True)
        assert status()["daemon"]["version"] == "0.1.1"

    @case("downgrade to 0.1.0 under load", again=False)
    def _(row: dict[str, Any]) -> None:
        install = "dpkg --force-confold -i /opt/t/vllmd_{}_amd64.deb"
        serves_on(row, lambda: sh(install.format("0.1.0")), orderly=True)
        assert status()["daemon"]["version"] == "0.1.0"

    @case("systemctl restart vllmd: a cold restart, exactly one shim", again=False)
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

    @case("systemctl stop, daemon killed a moment before", again=False)
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

    @case("systemctl stop, daemon failed; the engine served on until then", again=False)
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

    @case("systemctl stop, daemon frozen", again=False)
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        os.kill(daemon_pid(), signal.SIGSTOP)
        stops_all(row)

    @case("vllmd stop lasts across the daemon", again=False)
    def _(row: dict[str, Any]) -> None:
        sh("systemctl start vllmd")
        ready()
        sh("vllmd stop chat")
        sh("systemctl restart vllmd-daemon")
        until("the daemon", lambda: status()["engines"])
        assert engine()["state"] == "stopped"
        sh("vllmd start chat --wait --timeout 30")
        ready()

    @case("the classic unit beside vllmd, in the same faults", again=False)
    def _(row: dict[str, Any]) -> None:
        if "bookworm" not in sh("cat /etc/os-release"):
            row["not_run"] = "it is in bookworm, and takes a minute"
            return
        classic.compare(row, CONFIG + "liveness = { stall_s = 3 }\n")

    @case("dpkg --verify: nothing has changed", again=False)
    def _(row: dict[str, Any]) -> None:
        package.unchanged(row)

    @case("remove: stopped and gone, conffile kept", again=False)
    def _(row: dict[str, Any]) -> None:
        row["dpkg"] = sh("dpkg -r vllmd")[-300:]
        row["left"] = left()
        assert row["left"] == []
        assert not os.path.exists("/usr/bin/vllmd")
        assert os.path.exists(CONFIG_PATH)

    @case("purge, reinstall", again=False)
    def _(row: dict[str, Any]) -> None:
        row["purge"] = [line for line in sh("dpkg -P vllmd").splitlines() if "removing" in line]
        row["left"] = sh("find /etc/vllmd /var/lib/vllmd /var/log/vllmd /opt/vllmd 2> /dev/null")
        for path in ("/etc/vllmd", "/var/lib/vllmd", "/var/log/vllmd", "/opt/vllmd"):
            assert not os.path.exists(path), row["purge"]
        sh("dpkg -i /opt/t/vllmd_0.1.1_amd64.deb")
        assert sh("systemctl is-enabled vllmd") == "disabled"

    @case("it serves, with time to drain")
    def _(row: dict[str, Any]) -> None:
        with open(CONFIG_PATH, "w") as file:
            file.write(CONFIG.replace("drain_s = 0", "drain_s = 4"))
        row["enable"] = sh("systemctl enable --now vllmd")
        ready()
