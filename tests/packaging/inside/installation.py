"""The package by itself: installed, upgraded, taken back, removed, purged."""

import os
from typing import Any

from . import apt
from .cases import serves_on
from .tools import (
    CONFIG_PATH,
    EXPORTER,
    PATIENCE,
    get,
    left,
    sh,
    show,
    status,
    until,
)

DROP_IN = f"[Service]\nWatchdogSec={4 * PATIENCE:.0f}\nTimeoutStopSec=6\nRestartSec=500ms\n"


def install(row: dict[str, Any]) -> None:
    """Install the older package, and look that it only lies there."""
    row["systemd"] = sh("systemctl --version | head -1").split()[1]
    apt.install(row, "0.1.0")
    assert sh("systemctl is-enabled vllmd") == "disabled"
    assert sh("id -un vllmd") == "vllmd"
    assert left() == []


def installed(row: dict[str, Any]) -> None:
    """Install the older package by apt: it lies there, and nothing runs."""
    install(row)
    os.makedirs("/etc/systemd/system/vllmd-daemon.service.d", exist_ok=True)
    with open("/etc/systemd/system/vllmd-daemon.service.d/test.conf", "w") as file:
        file.write(DROP_IN)
    sh("systemctl daemon-reload")


def enabled(row: dict[str, Any]) -> None:
    """Enable it as it comes: it runs, is scraped, and says what is missing."""
    row["enable"] = sh("systemctl enable --now vllmd")
    until("the page", lambda: "vllmd_build_info" in get(f"{EXPORTER}/metrics"))
    assert show("vllmd-daemon", "StatusText") == "no engine is configured"


def came_along(row: dict[str, Any]) -> None:
    """Find the runbooks, rules and examples that the package brings."""
    row["runbooks"] = len(sh("vllmd runbook").split())
    assert "<h1>VllmdDown</h1>" in get(f"{EXPORTER}/runbooks/VllmdDown")
    written = sh("vllmd rules export --output /tmp/rules").splitlines()
    row["rule files"] = len(written)
    sh("vllmd dashboard export --output /tmp/dashboards")
    for name in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml", "grafana"):
        assert os.path.exists(f"/usr/share/doc/vllmd/examples/{name}"), name


def upgrade(row: dict[str, Any]) -> None:
    """Upgrade by apt while requests are answered."""
    apt.unsigned_is_refused()
    apt.apt("update")
    command = "-o Dpkg::Options::=--force-confold upgrade"
    serves_on(row, lambda: apt.apt(command), orderly=True)
    assert status()["daemon"]["version"] == "0.1.1"


def downgrade(row: dict[str, Any]) -> None:
    """Go back to the older package while requests are answered."""
    install = "dpkg --force-confold -i /opt/t/vllmd_{}_amd64.deb"
    serves_on(row, lambda: sh(install.format("0.1.0")), orderly=True)
    assert status()["daemon"]["version"] == "0.1.0"


def removed(row: dict[str, Any]) -> None:
    """Remove the package: all is stopped and gone but its configuration."""
    row["dpkg"] = sh("dpkg -r vllmd")[-300:]
    row["left"] = left()
    assert row["left"] == []
    assert not os.path.exists("/usr/bin/vllmd")
    assert os.path.exists(CONFIG_PATH)


def purged(row: dict[str, Any]) -> None:
    """Purge the package: nothing is left; then install the newer one."""
    row["purge"] = [line for line in sh("dpkg -P vllmd").splitlines() if "removing" in line]
    row["left"] = sh("find /etc/vllmd /var/lib/vllmd /var/log/vllmd /opt/vllmd 2> /dev/null")
    for path in ("/etc/vllmd", "/var/lib/vllmd", "/var/log/vllmd", "/opt/vllmd"):
        assert not os.path.exists(path), row["purge"]
    sh("dpkg -i /opt/t/vllmd_0.1.1_amd64.deb")
    assert sh("systemctl is-enabled vllmd") == "disabled"
