"""GPUs: whose is the memory, will it do, and are they well?"""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.gpu_health import HEALTH
from vllmd.monitoring.dashboards.looks import BELOW_ZERO
from vllmd.monitoring.dashboards.owners import memory_of_a_gpu
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    GPUS,
    MOST_SERIES,
    RATE,
    Panel,
    PanelRow,
    Query,
)
from vllmd.monitoring.dashboards.tables import TableColumn

NAME = "GPU {{gpu}}"
WORST = f"topk({MOST_SERIES}, "

MEMORY = PanelRow(
    "Memory: whose is it, and would an engine fit again?", [memory_of_a_gpu()], closed=False
)

ROOM = PanelRow(
    "Room: what is missing, and what grows?",
    [
        Panel(
            "Room to spare for a restart",
            "Below zero it serves, and would not start again.",
            "bytes",
            [
                Query(
                    f"bottomk({MOST_SERIES}, vllmd_gpu_memory_restart_margin_bytes{{{GPUS}}})",
                    f"{{{{vllmd_engine}}}} {NAME}",
                )
            ],
            width=12,
            minimum=None,
            steps=BELOW_ZERO,
            nothing="no engine has a GPU",
        ),
        Panel(
            "Awaited: what is missing for a start",
            "An engine waits until so much more is free. Named is who holds most of it.",
            "bytes",
            [
                Query(
                    f"vllmd_engine_awaited_memory_bytes{{{ENGINES}}}",
                    f"{{{{vllmd_engine}}}} {NAME}, held by {{{{holder}}}}",
                )
            ],
            width=12,
            nothing="no engine waits for memory",
        ),
        Panel(
            "Growth beyond the largest batch",
            "In an hour. vLLM takes its memory at the start and with its first full batches: what "
            "grows without end is a leak.",
            "bytes",
            [
                Query(
                    f"3600 * deriv(vllmd_engine_gpu_memory_growth_bytes{{{ENGINES}}}[30m])",
                    "{{vllmd_engine}} an hour",
                )
            ],
            width=12,
            minimum=None,
            nothing="no engine has worked long enough",
        ),
        Panel(
            "What the engine said it takes",
            "Of each GPU, as vLLM printed at its start. 'vllmd advise' says what to change.",
            "bytes",
            [
                Query(
                    "sum by (vllmd_engine) "
                    f'(vllmd_engine_gpu_memory_bytes{{component="{component}",{ENGINES}}})',
                    "{{vllmd_engine}}",
                )
                for component in ("weights", "kv_cache", "graphs")
            ],
            "table",
            width=12,
            nothing="no engine has said it yet",
            columns=[
                TableColumn("vllmd_engine", "Engine"),
                TableColumn("A", "Weights", width=120),
                TableColumn("B", "KV cache", width=120),
                TableColumn("C", "Graphs", width=120),
            ],
            first="Engine",
        ),
    ],
)

LOAD = PanelRow(
    "Load: power, heat, clocks",
    [
        Panel(
            "Power",
            "At its limit under load is normal.",
            "watt",
            [
                Query(f"{WORST}vllmd_gpu_power_watts{{{GPUS}}})", NAME),
                Query(
                    f"max(vllmd_gpu_power_limit_watts{{{GPUS}}})",
                    "limit",
                    colour="text",
                    dashed=True,
                ),
            ],
            nothing="not known of these GPUs",
            width=12,
        ),
        Panel(
            "Temperature",
            "The hottest sensor. It is no alert: throttling is, and is above.",
            "celsius",
            [Query(f"{WORST}max by (gpu) (vllmd_gpu_temperature_celsius{{{GPUS}}}))", NAME)],
            nothing="not known of these GPUs",
            width=12,
        ),
        Panel(
            "At work",
            "Share of time in which a kernel ran; no measure of how well a GPU is used.",
            "percentunit",
            [Query(f"{WORST}vllmd_gpu_busy_ratio{{{GPUS}}})", NAME)],
            maximum=1,
            nothing="not known of these GPUs",
            width=12,
        ),
        Panel(
            "Memory bus",
            "Share of time in which memory was moved: decoding keeps it busy.",
            "percentunit",
            [Query(f"{WORST}vllmd_gpu_memory_bus_busy_ratio{{{GPUS}}})", NAME)],
            maximum=1,
            nothing="not known of these GPUs",
            width=12,
        ),
        Panel(
            "Clock of the processors",
            "It falls with heat, with a power limit, and with nothing to do.",
            "hertz",
            [Query(f'{WORST}vllmd_gpu_clock_hertz{{domain="sm",{GPUS}}})', NAME)],
            nothing="not known of these GPUs",
            width=12,
        ),
        Panel(
            "Energy, by what the engine did",
            "In watts; idle and down are paid as well.",
            "watt",
            [
                Query(
                    f"{WORST}sum by (vllmd_engine, activity) "
                    f"(rate(vllmd_engine_energy_joules_total{{{ENGINES}}}{RATE})))",
                    "{{vllmd_engine}} {{activity}}",
                )
            ],
            stacked=True,
            nothing="no engine has a GPU",
            width=12,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-gpu",
        "vllmd: GPUs",
        "Whose the memory is, whether an engine would fit again, and whether the GPUs are well.",
        [MEMORY, HEALTH, ROOM, LOAD],
        ("gpu_host", "engine", "gpu"),
        single=("gpu_host",),
    )
