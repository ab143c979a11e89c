"""Which GPUs need a hand: a short table, and what led to it. Pure."""

from vllmd.monitoring.dashboards.panels import GPUS, MOST_SERIES, RATE, Panel, PanelRow, Query
from vllmd.monitoring.dashboards.tables import TableColumn

NAME = "GPU {{gpu}}"
_ON_PURPOSE = "gpu_idle|application_clocks|sw_power_cap|sync_boost|display_clocks"
"""Reasons for lower clocks that are no fault."""
_NEEDS = (
    ("does not answer: reboot, if it fell off the bus", f"vllmd_gpu_up{{{GPUS}}} == 0"),
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


def _needs() -> str:
    each = (
        f'label_replace(max by (gpu) ({expr}), "what", "{words}", "", "")' for words, expr in _NEEDS
    )
    return " or ".join(each)


HEALTH = PanelRow(
    "Health: does one need a hand?",
    [
        Panel(
            "What needs a hand",
            "One line for each thing to do; none is normal.",
            "short",
            [Query(_needs(), "{{gpu}}")],
            "table",
            12,
            7,
            nothing="no GPU needs a hand",
            columns=[TableColumn("gpu", "GPU", width=60), TableColumn("what", "It …")],
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
