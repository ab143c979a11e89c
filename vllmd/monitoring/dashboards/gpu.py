"""GPUs: whose is the memory, will it do, and are they well?"""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.owners import memory_by_owner
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    GPU_NAME,
    GPUS,
    NO_IS_GOOD,
    RATE,
    YES_IS_GOOD,
    Panel,
    PanelRow,
    Query,
)

OWN_AND_FREE = (
    f'vllmd_gpu_memory_by_owner_bytes{{owner="engine",{GPUS}}} '
    f"+ on (instance, gpu) group_left () vllmd_gpu_memory_free_bytes{{{GPUS}}}"
)
YES_NO = {"0": ("no", "green"), "1": ("yes", "red")}

MEMORY = PanelRow(
    "Memory: whose is it, and would an engine fit again?",
    [
        memory_by_owner(
            "All owners add up to the GPU. Orphan: a dead engine's, vllmd gpu reap ends it.",
            "instance, gpu, owner, vllmd_engine",
            GPUS,
            f"{GPU_NAME} {{{{vllmd_engine}}}} ",
            width=16,
        ),
        Panel(
            "What a start of the engine needs",
            "Its budget, by vLLM's own rule, beside what the engine has now and what is free.",
            "bytes",
            [
                Query(
                    f"({OWN_AND_FREE}) - on (instance, gpu, vllmd_engine) "
                    f"vllmd_gpu_memory_restart_margin_bytes{{{GPUS}}}",
                    f"{GPU_NAME} {{{{vllmd_engine}}}} budget",
                ),
                Query(OWN_AND_FREE, f"{GPU_NAME} {{{{vllmd_engine}}}} and free"),
            ],
        ),
        Panel(
            "Room to spare for a restart",
            "Below zero it serves, and would not start again.",
            "bytes",
            [
                Query(
                    f"vllmd_gpu_memory_restart_margin_bytes{{{GPUS}}}",
                    f"{GPU_NAME} {{{{vllmd_engine}}}}",
                )
            ],
            minimum=None,
            steps=((0, "red"), (1, "green")),
        ),
        Panel(
            "Awaited: what is missing for a start",
            "An engine waits until so much more is free. Named is who holds most of it.",
            "bytes",
            [
                Query(
                    f"vllmd_engine_awaited_memory_bytes{{{ENGINES}}}",
                    "{{instance}} {{vllmd_engine}} GPU {{gpu}}, held by {{holder}}",
                )
            ],
            nothing="no engine waits for memory",
        ),
        Panel(
            "Growth beyond the largest batch",
            "vLLM takes its memory at the start and with its first full batches. What grows "
            "without end is a leak.",
            "bytes",
            [
                Query(
                    f"vllmd_engine_gpu_memory_growth_bytes{{{ENGINES}}}",
                    "{{instance}} {{vllmd_engine}}",
                )
            ],
            minimum=None,
        ),
        Panel(
            "Processes, by whose they are",
            "A foreign one on an engine's GPU takes its room: vllmd gpu names it.",
            "short",
            [Query(f"vllmd_gpu_processes{{{GPUS}}}", f"{GPU_NAME} {{{{owner}}}}")],
        ),
        Panel(
            "Free, and the most that was used",
            "Peaks between two scrapes are in it.",
            "bytes",
            [
                Query(f"vllmd_gpu_memory_free_bytes{{{GPUS}}}", f"{GPU_NAME} free"),
                Query(f"vllmd_gpu_memory_used_max_bytes{{{GPUS}}}", f"{GPU_NAME} peak"),
            ],
        ),
        Panel(
            "What the engine said it takes",
            "Weights, KV cache and graphs, as vLLM printed at its start.",
            "bytes",
            [
                Query(
                    "sum by (instance, vllmd_engine, component) "
                    f"(vllmd_engine_gpu_memory_bytes{{{ENGINES}}})",
                    "{{instance}} {{vllmd_engine}} {{component}}",
                )
            ],
        ),
    ],
)

HEALTH = PanelRow(
    "Health: does it need a reset, or a new one?",
    [
        Panel(
            "Answers",
            "One that does not fell off the bus, or hangs.",
            "short",
            [Query(f"vllmd_gpu_up{{{GPUS}}}", GPU_NAME)],
            "state-timeline",
            steps=YES_IS_GOOD,
            words={"0": ("lost", "red"), "1": ("answers", "green")},
        ),
        Panel(
            "What the driver asks for",
            "Drain the engine first, then do as it says.",
            "short",
            [Query(f"vllmd_gpu_recovery_action{{{GPUS}}}", GPU_NAME)],
            "state-timeline",
            words={
                "0": ("nothing", "green"),
                "1": ("reset", "red"),
                "2": ("reboot", "dark-red"),
                "3": ("drain peers", "orange"),
                "4": ("drain, reset", "red"),
                "5": ("recover IMEX", "red"),
                "6": ("bus reset", "red"),
                "7": ("reboot system", "dark-red"),
            },
        ),
        Panel(
            "Rows of memory to be replaced",
            "Pending: at the next reset. Failed: the GPU is to be exchanged.",
            "short",
            [
                Query(f"vllmd_gpu_row_remap_pending{{{GPUS}}}", f"{GPU_NAME} pending"),
                Query(f"vllmd_gpu_row_remap_failed{{{GPUS}}}", f"{GPU_NAME} failed"),
            ],
            "state-timeline",
            steps=NO_IS_GOOD,
            words=YES_NO,
        ),
        Panel(
            "Xids since the boot",
            "What the driver reported, and what each asks for; a line of zero: none.",
            "short",
            [
                Query(
                    f"vllmd_gpu_xid_errors_total{{{GPUS}}} or on (instance, gpu) "
                    f"vllmd_gpu_up{{{GPUS}}} * 0",
                    f"{GPU_NAME} Xid {{{{xid}}}} {{{{action}}}}",
                )
            ],
            "table",
            left_out=["job", "uuid"],
        ),
        Panel(
            "ECC errors",
            "Since the driver was loaded. Corrected ones are normal, uncorrected ones are not.",
            "short",
            [Query(f"vllmd_gpu_ecc_errors_total{{{GPUS}}}", f"{GPU_NAME} {{{{error}}}}")],
        ),
        Panel(
            "Held back by hardware",
            "Share of time; heat and power brakes are faults of cooling and supply.",
            "percentunit",
            [
                Query(
                    f"rate(vllmd_gpu_clock_event_seconds_total{{{GPUS}}}{RATE})",
                    f"{GPU_NAME} {{{{reason}}}}",
                )
            ],
        ),
    ],
)

LOAD = PanelRow(
    "Load: power, heat, clocks",
    [
        Panel(
            "Power",
            "Beside its limit. At the limit under load is normal.",
            "watt",
            [
                Query(f"vllmd_gpu_power_watts{{{GPUS}}}", f"{GPU_NAME} now"),
                Query(f"vllmd_gpu_power_max_watts{{{GPUS}}}", f"{GPU_NAME} peak"),
                Query(f"vllmd_gpu_power_limit_watts{{{GPUS}}}", f"{GPU_NAME} limit"),
            ],
        ),
        Panel(
            "Temperature",
            "It is no alert: throttling is, and is above.",
            "celsius",
            [Query(f"vllmd_gpu_temperature_celsius{{{GPUS}}}", f"{GPU_NAME} {{{{sensor}}}}")],
        ),
        Panel(
            "Why the clocks are not at their highest",
            "Reasons that hold now; gpu_idle and sw_power_cap are normal.",
            "short",
            [Query(f"vllmd_gpu_clock_event_active{{{GPUS}}} > 0", f"{GPU_NAME} {{{{reason}}}}")],
            "state-timeline",
            words={"1": ("yes", "orange")},
            nothing="nothing holds them back",
        ),
        Panel(
            "At work",
            "Share of time in which a kernel ran, and in which memory was moved.",
            "percentunit",
            [
                Query(f"vllmd_gpu_busy_ratio{{{GPUS}}}", f"{GPU_NAME} kernels"),
                Query(f"vllmd_gpu_memory_bus_busy_ratio{{{GPUS}}}", f"{GPU_NAME} memory"),
            ],
            maximum=1,
        ),
        Panel(
            "Clocks",
            "They fall with heat, with a power limit, and with nothing to do.",
            "hertz",
            [Query(f"vllmd_gpu_clock_hertz{{{GPUS}}}", f"{GPU_NAME} {{{{domain}}}}")],
        ),
        Panel(
            "Energy, by what the engine did",
            "In watts; idle and down are paid as well.",
            "watt",
            [
                Query(
                    "sum by (instance, vllmd_engine, activity) "
                    f"(rate(vllmd_engine_energy_joules_total{{{ENGINES}}}{RATE}))",
                    "{{instance}} {{vllmd_engine}} {{activity}}",
                )
            ],
            stacked=True,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-gpu",
        "vllmd: GPUs",
        "Whose the memory is, whether an engine would fit again, and whether the GPUs are well.",
        [MEMORY, HEALTH, LOAD],
        ("engine", "gpu"),
    )
