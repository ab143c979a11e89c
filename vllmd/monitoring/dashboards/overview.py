"""One host or all of them: what does not serve, what soon will not, and what it costs."""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.owners import memory_by_owner
from vllmd.monitoring.dashboards.panels import (
    ENGINE_GPU_NAME,
    ENGINES,
    GPU_NAME,
    HOSTS,
    NAME,
    NO_IS_GOOD,
    RATE,
    YES_IS_GOOD,
    Panel,
    PanelRow,
    Query,
)
from vllmd.monitoring.dashboards.states import states
from vllmd.monitoring.rules import BY_ENGINE
from vllmd.monitoring.settings import RuleSettings

MANY = "topk(20, "
"""On a fleet only the worst are drawn."""


def _stat(title: str, help: str, expr: str, steps: Any = ()) -> Panel:
    return Panel(title, help, "short", [Query(expr, title)], "stat", 4, 4, steps=steps, decimals=0)


NOW = PanelRow(
    "Now: who does not serve?",
    [
        _stat(
            "Engines that serve",
            "Engines whose API answers, on the hosts chosen above.",
            f"sum(vllmd_engine_up{{{ENGINES}}})",
            YES_IS_GOOD,
        ),
        _stat(
            "Wanted, not serving",
            "Zero is normal, but for the time of a start. vllmd status says what each does.",
            f"sum(vllmd_engine_wanted{{{ENGINES}}} > bool vllmd_engine_up{{{ENGINES}}})",
            NO_IS_GOOD,
        ),
        _stat(
            "Held",
            "They wait for an operator: vllmd why names the fix.",
            f'sum(vllmd_engine_state{{state="held",{ENGINES}}})',
            NO_IS_GOOD,
        ),
        _stat(
            "Silent hosts",
            "Where vllmd cannot be scraped. Engines may serve there all the same.",
            f'count(up{{job=~"$job",{HOSTS}}}) - sum(up{{job=~"$job",{HOSTS}}})',
            NO_IS_GOOD,
        ),
        _stat(
            "GPUs lost",
            "GPUs that do not answer. Only a reboot brings one back that fell off the bus.",
            f"count(vllmd_gpu_up{{{HOSTS}}}) - sum(vllmd_gpu_up{{{HOSTS}}})",
            NO_IS_GOOD,
        ),
        _stat(
            "Restarts in a day",
            "Unexpected restarts. vllmd events has the causes.",
            f"round(sum(increase(vllmd_engine_restarts_total{{{ENGINES}}}[1d])))",
            ((1, "orange"), (4, "red")),
        ),
        states(width=14),
        Panel(
            "Alerts that fire",
            "VllmdWatchdog is always among them: it shows that alerts are evaluated.",
            "short",
            [
                Query(
                    "sum by (alertname, severity, instance, vllmd_engine, gpu) "
                    f'(ALERTS{{alertname=~"Vllmd.+",alertstate="firing",{HOSTS}}})',
                    "{{alertname}}",
                )
            ],
            "table",
            10,
            left_out=["Value"],
            first="severity",
            column_colours={"severity": {"critical": "red", "warning": "orange"}},
        ),
    ],
)

PRESSURE = PanelRow(
    "Pressure: what will not serve soon?",
    [
        memory_by_owner(
            "Of all GPUs. Orphans are a page, foreign memory is a question; 90 % is normal.",
            "owner",
            HOSTS,
            "",
            width=8,
        ),
        Panel(
            "Would it start again? Room to spare",
            "Below zero an engine serves, and would not come back after an end.",
            "bytes",
            [
                Query(
                    f"bottomk(20, vllmd_gpu_memory_restart_margin_bytes{{{ENGINES}}})",
                    ENGINE_GPU_NAME,
                )
            ],
            minimum=None,
            steps=((0, "red"), (1, "green")),
        ),
        Panel(
            "KV cache in use",
            "Full is well used, unless requests wait as well.",
            "percentunit",
            [
                Query(
                    f"{MANY}max by (instance, vllmd_engine) "
                    f"(vllmd_kv_cache_usage_ratio{{{ENGINES}}}))",
                    NAME,
                )
            ],
            maximum=1,
        ),
        Panel(
            "Requests that wait",
            "A queue that does not get shorter: more arrive than the engine can take.",
            "short",
            [Query(f"{MANY}{BY_ENGINE} (vllmd_requests_waiting{{{ENGINES}}}))", NAME)],
        ),
        Panel(
            "First tokens that came too late",
            f"Share within an hour of those later than {RuleSettings().ttft_s:g} s; the line is "
            "what the budget allows.",
            "percentunit",
            [Query(f"{MANY}vllmd:ttft_slow:ratio_rate1h{{{ENGINES}}})", NAME)],
            steps=((round(1 - RuleSettings().ttft_target, 4), "red"),),
        ),
        Panel(
            "Time to first token, 95 %",
            "Of five minutes. The dashboard 'vllmd: engine' shows where it is spent.",
            "s",
            [Query(f"{MANY}vllmd:time_to_first_token_seconds:p95{{{ENGINES}}})", NAME)],
        ),
    ],
)

WORK = PanelRow(
    "Work: what is done, and at what price?",
    [
        Panel(
            "Tokens",
            "Of all engines, in and out.",
            "short",
            [
                Query(
                    f"sum by (direction) (rate(vllmd_tokens_total{{{ENGINES}}}{RATE}))",
                    "{{direction}} tokens/s",
                )
            ],
        ),
        Panel(
            "GPUs at work",
            "Share of time in which a kernel ran; no measure of how well a GPU is used.",
            "percentunit",
            [Query(f"{MANY}vllmd_gpu_busy_ratio{{{HOSTS}}})", GPU_NAME)],
            maximum=1,
        ),
        Panel(
            "An hour costs",
            "All engines, idle or not: GPUs by their price, and their power.",
            "short",
            [
                Query(
                    f"sum by (currency) (vllmd_cost_per_hour{{{ENGINES}}})",
                    "{{currency}} an hour",
                )
            ],
            decimals=2,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-overview",
        "vllmd: overview",
        "One host or all of them: what does not serve, what soon will not, and what it costs.",
        [NOW, PRESSURE, WORK],
    )
