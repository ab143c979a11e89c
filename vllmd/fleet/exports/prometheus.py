"""Prometheus: the hosts as targets of a file, and the job that reads it. Pure.

Source: Prometheus, configuration: file_sd_config, http_sd_config, scrape_config.
"""

import json
from collections.abc import Sequence
from typing import Any

from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.fleet.exports.services import MADE_BY, remarks

TARGETS = "vllmd-targets.json"


def targets(fleet: FleetConfig, hosts: Sequence[FleetHost]) -> list[dict[str, Any]]:
    """Return the hosts as both kinds of discovery take them."""
    labels = {"fleet": fleet.name} if fleet.name else {}
    return [{"targets": [host.netloc for host in hosts], "labels": labels}]


def files(fleet: FleetConfig, hosts: Sequence[FleetHost]) -> dict[str, str]:
    """Return the targets, and the job as a part of prometheus.yml, by the names of their files."""
    made = json.dumps(targets(fleet, hosts), indent=2) + "\n"
    return {TARGETS: made, "vllmd-job.yml": _job(fleet)}


def _job(fleet: FleetConfig) -> str:
    lines = [
        *remarks([MADE_BY, "For scrape_configs of prometheus.yml."]),
        "- job_name: vllmd",
        "  file_sd_configs:",
        f"    - files: [/etc/prometheus/{TARGETS}]",
    ]
    if fleet.uses_tls:
        lines += ["  scheme: https"]
    if fleet.ca_file:
        lines += ["  tls_config:", f"    ca_file: {fleet.ca_file}"]
    if fleet.password_file:
        lines += [
            "  basic_auth:",
            f"    username: {json.dumps(fleet.user or '')}",
            f"    password_file: {fleet.password_file}",
        ]
    return "\n".join(lines) + "\n"
