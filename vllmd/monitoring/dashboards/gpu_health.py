"""Which GPUs need a hand: a short table, and what led to it. Pure."""

from vllmd.monitoring.dashboards.panels import (
    GPUS,
    HOSTS,
    MOST_SERIES,
    RATE,
    Panel,
    PanelRow,
    Query,
)
from vllmd.monitoring.dashboards.tables import TableColumn
from vllmd.monitoring.expressions import AGAIN

NAME = "GPU {{gpu}}"
_ON_PURPOSE = "gpu_idle|application_clocks|sw_power_cap|sync_boost|display_clocks"
"""Reasons for lower clocks that are no fault."""
_READ = f"unless on (instance) vllmd_nvml_up{{{HOSTS}}} == 0"
"""Where NVML as a whole does not answer, that says nothing of one GPU."""
_LOST = "does not answer: reboot, if it fell off the bus"
_UNREAD = "are not read, all of them: 'vllmd gpu' says why"
_NEEDS = (
    (_LOST, f"vllmd_gpu_up{{{GPUS}}} == 0 {_READ}"),
    (
        "comes and goes: look at its seat, power and heat",
        f"changes(vllmd_gpu_up{{{GPUS}}}[{AGAIN}]) > 2 "
        f"unless on (instance) min_over_time(vllmd_nvml_up{{{HOSTS}}}[{AGAIN}]) == 0",
    ),
    (
        "driver asks for recovery: drain it, then 'vllmd gpu'",
        f"vllmd_gpu_recovery_action{{{GPUS}}} > 0",
    ),
    ("has no spare rows of memory left: exchange it", f"vllmd_gpu_row_remap_failed{{{GPUS}}} > 0"),
    ("replaces rows of memory at its next reset", f"vllmd_gpu_row_remap_pending{{{GPUS}}} > 0"),
    (
        "had uncorrected ECC errors",
        f'sum by (instance, gpu) (vllmd_gpu_ecc_errors_total{{error="uncorrected",{GPUS}}}) > 0',
    ),
    (
        "is held back by heat or power supply: look at cooling",
        "sum by (instance, gpu) (vllmd_gpu_clock_event_active{"
        f'reason!~"{_ON_PURPOSE}",{GPUS}}}) > 0',
    ),
    (
        "has a PCIe link below its best",
        f"vllmd_gpu_pcie_link_width{{{GPUS}}} < on (instance, gpu) "
        f"vllmd_gpu_pcie_link_width_max{{{GPUS}}}",
    ),
)
"""What a person has to do something about, and when."""


def _line(words: str, expr: str) -> str:
    return f'label_replace(max by (gpu) ({expr}), "what", "{words}", "", "")'


_NVML = f"vllmd_nvml_up{{{HOSTS}}} == 0"
NEEDS = " or ".join(_line(words, expr) for words, expr in (*_NEEDS, (_UNREAD, _NVML)))
SINCE = " or ".join(
    (
        _line(_LOST, f"time() - vllmd_gpu_lost_timestamp_seconds{{{GPUS}}} {_READ}"),
        _line(
            _UNREAD,
            f"time() - vllmd_nvml_last_success_timestamp_seconds{{{HOSTS}}} "
            f"and on (instance) {_NVML}",
        ),
    )
)
"""For how long it is so, in seconds, of those lines of which that is known."""


HEALTH = PanelRow(
    "Health: does one need a hand?",
    [
        Panel(
            "What needs a hand",
            "One line for each thing to do; none is normal. Without a number it is about all.",
            "short",
            [Query(NEEDS, "{{gpu}}"), Query(SINCE, "{{gpu}}")],
            "table",
            12,
            7,
            nothing="no GPU needs a hand",
            columns=[
                TableColumn("gpu", "GPU", width=60),
                TableColumn("what", "It …"),
                TableColumn("B", "For", "s", width=95),
            ],
            first="GPU",
        ),
        Panel(
            "Xids since the boot",
            "What the driver reported, and what each asks for.",
            "short",
            [
                Query(
                    f"max by (gpu, xid, action) (vllmd_gpu_xid_errors_total{{{GPUS}}})",
                    "{{xid}}",
                ),
                Query(
                    "max by (gpu, xid, action) (time() - "
                    f"vllmd_gpu_xid_last_timestamp_seconds{{{GPUS}}})",
                    "{{xid}}",
                ),
            ],
            "table",
            12,
            7,
            nothing="none was reported",
            columns=[
                TableColumn("gpu", "GPU", width=60),
                TableColumn("xid", "Xid", width=70),
                TableColumn("action", "It asks for"),
                TableColumn("A", "Times", width=70),
                TableColumn("B", "Last, ago", "s", width=110),
            ],
            first="Last, ago",
        ),
        Panel(
            "Held back by heat or power supply",
            "Share of time. Zero is normal: else look at cooling and supply.",
            "percentunit",
            [
                Query(
                    f"topk({MOST_SERIES}, rate(vllmd_gpu_clock_event_seconds_total{{"
                    f'reason!~"{_ON_PURPOSE}",{GPUS}}}{RATE}))',
                    f"{NAME} {{{{reason}}}}",
                )
            ],
            width=12,
            maximum=1,
            nothing="not known of these GPUs",
        ),
        Panel(
            "Uncorrected ECC errors",
            "Since the driver was loaded. Corrected ones are normal, these are not.",
            "short",
            [
                Query(
                    f"topk({MOST_SERIES}, sum by (gpu) "
                    f'(vllmd_gpu_ecc_errors_total{{error="uncorrected",{GPUS}}}))',
                    NAME,
                )
            ],
            width=12,
            nothing="not known of these GPUs",
        ),
    ],
    closed=False,
)
