"""One host or all of them: what does not serve, what soon will not, and what it costs."""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.engines_table import alerts, engines
from vllmd.monitoring.dashboards.looks import BELOW_ZERO, DIRECTIONS
from vllmd.monitoring.dashboards.numbers import NUMBERS
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    GPU_NAME,
    HOSTS,
    LATENCY,
    MOST_SERIES,
    NAME,
    RATE,
    Panel,
    PanelRow,
    Query,
)
from vllmd.monitoring.dashboards.states import states
from vllmd.monitoring.rules import BY_ENGINE
from vllmd.monitoring.settings import RuleSettings

WORST = f"topk({MOST_SERIES}, "
"""On a fleet only the worst are drawn."""
LEAST = f"bottomk({MOST_SERIES}, "

NOW = PanelRow("", [*NUMBERS, engines(), states(width=12, height=9), alerts()])

PRESSURE = PanelRow(
    "Pressure: what will not serve soon?",
    [
        Panel(
            "Time to first token, 95 %",
            "Of five minutes. The dashboard 'vllmd: engine' shows where it is spent.",
            LATENCY,
            [Query(f"{WORST}vllmd:time_to_first_token_seconds:p95{{{ENGINES}}})", NAME)],
            width=12,
            steps=((RuleSettings().ttft_s, "red"),),
            nothing="no traffic",
        ),
        Panel(
            "First tokens that came too late",
            f"Share within an hour of those later than {RuleSettings().ttft_s:g} s; the line is "
            "what the budget allows.",
            "percentunit",
            [Query(f"{WORST}vllmd:ttft_slow:ratio_rate1h{{{ENGINES}}})", NAME)],
            width=12,
            steps=((round(1 - RuleSettings().ttft_target, 4), "red"),),
            nothing="no traffic",
        ),
        Panel(
            "Requests that wait",
            "A queue that does not get shorter: more arrive than the engine can take.",
            "short",
            [Query(f"{WORST}{BY_ENGINE} (vllmd_requests_waiting{{{ENGINES}}}))", NAME)],
            width=12,
            nothing="no engine serves",
        ),
        Panel(
            "KV cache in use",
            "Full is well used, unless requests wait as well.",
            "percentunit",
            [
                Query(
                    f"{WORST}max by (instance, vllmd_engine) "
                    f"(vllmd_kv_cache_usage_ratio{{{ENGINES}}}))",
                    NAME,
                )
            ],
            width=12,
            maximum=1,
            nothing="no engine serves",
        ),
    ],
)

MEMORY = PanelRow(
    "GPU memory: would an engine start again? ('vllmd: GPUs' shows whose it is)",
    [
        Panel(
            "Room to spare for a restart",
            "Below zero an engine that serves would not come back after an end.",
            "bytes",
            [
                Query(
                    f"{LEAST}min by (instance, vllmd_engine) "
                    f"(vllmd_gpu_memory_restart_margin_bytes{{{ENGINES}}}))",
                    NAME,
                )
            ],
            width=12,
            minimum=None,
            steps=BELOW_ZERO,
            nothing="no GPU",
        ),
        Panel(
            "Held by others than engines",
            "Orphans are a page, foreign memory is a question: 'vllmd gpu' names the process.",
            "bytes",
            [
                Query(
                    f"{WORST}sum by (instance, gpu, owner) (vllmd_gpu_memory_by_owner_bytes"
                    f'{{owner=~"foreign|orphan",{HOSTS}}}) > 0)',
                    f"{GPU_NAME} {{{{owner}}}}",
                )
            ],
            width=12,
            nothing="nobody else holds GPU memory",
        ),
    ],
)

WORK = PanelRow(
    "Work: what is done, and at what price?",
    [
        Panel(
            "Tokens",
            "Of all engines, in and out.",
            "count:tok/s",
            [
                Query(
                    f"sum by (direction) (rate(vllmd_tokens_total{{{ENGINES}}}{RATE}))",
                    "{{direction}}",
                )
            ],
            width=6,
            colours=DIRECTIONS,
            nothing="no engine serves",
        ),
        Panel(
            "GPUs at work",
            "Share of time in which a kernel ran; no measure of how well a GPU is used.",
            "percentunit",
            [Query(f"{WORST}vllmd_gpu_busy_ratio{{{HOSTS}}})", GPU_NAME)],
            maximum=1,
            nothing="no GPU",
        ),
        Panel(
            "An hour costs",
            "All engines, idle or not: GPUs by their price, and their power.",
            "none",
            [
                Query(
                    f"sum by (currency) (vllmd_cost_per_hour{{{ENGINES}}})",
                    "{{currency}} an hour",
                )
            ],
            width=6,
            decimals=2,
            nothing="no price is configured, or no GPU",
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-overview",
        "vllmd: overview",
        "One host or all of them: what does not serve, what soon will not, and what it costs.",
        [NOW, PRESSURE, MEMORY, WORK],
    )
