"""The metrics that alerts and recorded series ask for."""

import re
from functools import cache

from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.settings import RuleSettings

ELSEWHERE = {
    "vllmd_nvml_up": "with a real GPU, or its library's stand-in: test_gpu.py",
    "vllmd_nvml_problem": "as above",
    "vllmd_nvml_driver_mismatch": "as above",
    "vllmd_gpu_xid_last_timestamp_seconds": "as above",
    "vllmd_gpu_pcie_link_generation": "as above",
    "vllmd_gpu_pcie_link_generation_max": "as above",
    "vllmd_gpu_pcie_link_width": "as above",
    "vllmd_gpu_pcie_link_width_max": "as above",
    "vllmd_gpu_memory_floor_bytes": "where a GPU has the host's memory: dashboards/tests/gpu.yml",
    "vllmd_engine_hold_seconds": "of an engine that is held: test_holds.py",
    "vllmd_engine_awaited_memory_bytes": "of an engine that waits for room: test_gpu.py",
    "vllmd_engine_awaited_load_info": "of one that waits for another: engine/test_metrics.py",
    "vllmd_engine_awaited_turn_info": "of one whose GPU has another's turn: test_sleep.py",
    "vllmd_engine_weights_state": "of one whose weights are kept: test_preload.py",
    "vllmd_group_awaited_host_info": "of a part of a group: several_hosts/test_group_alerts.py",
    "vllmd_fleet_min_ready": "where [fleet] names the hosts: several_hosts/test_replicas_alerts.py",
    "vllmd_probe_verdict": "of an engine that is probed: causes/test_engine_causes.py",
    "vllmd_engine_failure_info": "of an engine that died: test_faults.py",
    "vllmd_vllm_missing_metrics": "of a page that lacks one: tests/unit/scrape/test_derived.py",
    "vllmd_otlp_forward_spans_total": "where spans are forwarded: test_forward.py",
    "vllmd_notifications_total": "where a webhook is set: test_notify.py",
    "vllmd_web_config_last_reload_successful": "where it has a web file: test_web_config.py",
}
"""What the page of a healthy engine has no samples of, and where it is seen."""


@cache
def used_names() -> frozenset[str]:
    """Return the metrics of vllmd's page that rules ask for."""
    exprs = [
        rule.expr
        for groups in (ALERTS, RECORDS)
        for make in groups.values()
        for rule in make(RuleSettings()).rules
    ]
    used = re.findall(r"\b(vllmd_[a-z_]+)(?=[{\[\s)]|$)", "\n".join(exprs))
    return frozenset(used) - {"vllmd_engine"}  # a label
