"""The dashboard of adapters, costs and caching."""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.looks import YES_IS_GOOD
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    LATENCY,
    NAME,
    RATE,
    Panel,
    PanelRow,
    Query,
    worst,
)
from vllmd.monitoring.rules import BY_ENGINE

ADAPTER = f"{NAME} {{{{adapter}}}}"
WIDE = 24
"""Long names beside rates with their unit have room on a narrow screen, too."""
BY_ADAPTER = "sum by (instance, vllmd_engine, adapter)"

ADAPTERS = PanelRow(
    "Adapters: is each of them there, and who uses it?",
    [
        Panel(
            "Loaded",
            "1 is loaded. One that is not: vllmd lora list says why. Its requests get a 404.",
            "short",
            [Query(f"vllmd_lora_adapter_loaded{{{ENGINES}}}", ADAPTER)],
            kind="state-timeline",
            steps=YES_IS_GOOD,
            words={"0": ("missing", "red"), "1": ("loaded", "green")},
            nothing="no adapter is configured",
            width=12,
            height=9,
        ),
        Panel(
            "Failed loads",
            "Tries to load an adapter that failed. Zero is normal; vllmd events has the reasons.",
            "short",
            [worst(f"round(increase(vllmd_lora_load_errors_total{{{ENGINES}}}{RATE}))", ADAPTER)],
            nothing="no adapter is configured",
        ),
        Panel(
            "In use now",
            "1 if requests for the adapter run. More at once than max_loras wait for each other.",
            "short",
            [worst(f'vllmd_lora_active{{state="running",{ENGINES}}}', ADAPTER)],
            nothing="no adapter is configured, or the engine does not serve",
        ),
        Panel(
            "Time to first token, 95 %",
            "Of one adapter only: it is loaded from disk too often. Of all: the engine is busy.",
            LATENCY,
            [
                worst(
                    "histogram_quantile(0.95, sum by (instance, vllmd_engine, adapter, le) "
                    f"(rate(vllmd_span_time_to_first_token_seconds_bucket{{{ENGINES}}}{RATE})))",
                    ADAPTER,
                )
            ],
            nothing="no spans arrive, or no traffic",
        ),
        Panel(
            "Requests",
            "By adapter, of clients that send tracestate; all others are unknown.",
            "reqps",
            [worst(f"{BY_ADAPTER} (rate(vllmd_span_requests_total{{{ENGINES}}}{RATE}))", ADAPTER)],
            nothing="no spans arrive",
            width=WIDE,
        ),
        Panel(
            "Tokens by adapter",
            "In and out, by adapter, of clients that send tracestate.",
            "count:tok/s",
            [worst(f"{BY_ADAPTER} (rate(vllmd_span_tokens_total{{{ENGINES}}}{RATE}))", ADAPTER)],
            nothing="no spans arrive",
            width=WIDE,
        ),
    ],
    closed=False,
)

COST = PanelRow(
    "Cost: what is paid, and for how much work?",
    [
        Panel(
            "An hour costs",
            "At this moment: GPUs by their price, used or not, and their power.",
            "none",
            [
                worst(
                    f"sum by (instance, vllmd_engine, currency) (vllmd_cost_per_hour{{{ENGINES}}})",
                    f"{NAME} {{{{currency}}}}",
                )
            ],
            decimals=2,
            nothing="no price is configured, or no GPU",
        ),
        Panel(
            "A million tokens cost, over a day",
            "Idle time included, and without it; the gap is what more requests would save.",
            "none",
            [
                worst(f"vllmd:cost_per_million_tokens:1d{{{ENGINES}}}", f"{NAME} in all"),
                worst(
                    f"vllmd:cost_per_million_tokens_without_idle:1d{{{ENGINES}}}",
                    f"{NAME} while it worked",
                ),
                worst(
                    'vllmd_cost_budget_per_million_tokens{instance=~"$instance"}',
                    "{{instance}} budget",
                    dashed=True,
                ),
            ],
            decimals=2,
            nothing="no price is configured, or no traffic",
        ),
        Panel(
            "GPUs, by what the engine did",
            "Idle GPUs are paid; down is what outages cost.",
            "suffix:GPUs",
            [
                worst(
                    "sum by (instance, vllmd_engine, activity) "
                    f"(rate(vllmd_gpu_seconds_total{{{ENGINES}}}{RATE}))",
                    f"{NAME} {{{{activity}}}}",
                )
            ],
            nothing="no GPU",
        ),
        Panel(
            "Energy of a token",
            "Over the last hour; it falls with more requests at once.",
            "joule",
            [worst(f"vllmd:joules_per_token:1h{{{ENGINES}}}", NAME)],
            nothing="no GPU, or no traffic",
        ),
        Panel(
            "Tokens",
            "In and out: what the money is paid for.",
            "count:tok/s",
            [
                worst(
                    "sum by (instance, vllmd_engine, direction) "
                    f"(rate(vllmd_tokens_total{{{ENGINES}}}{RATE}))",
                    f"{NAME} {{{{direction}}}}",
                )
            ],
            nothing="no engine serves",
            width=WIDE,
        ),
    ],
)

CACHING = PanelRow(
    "Caching and concurrency: is the engine used well?",
    [
        Panel(
            "Prefix cache: share of tokens found",
            "It falls when what prompts have in common does not come first.",
            "percentunit",
            [
                worst(
                    f"{BY_ENGINE} (rate(vllmd_prefix_cache_hits_total{{{ENGINES}}}{RATE})) "
                    f"/ ({BY_ENGINE} (rate(vllmd_prefix_cache_queries_total{{{ENGINES}}}{RATE}))"
                    " > 0)",
                    NAME,
                )
            ],
            maximum=1,
            nothing="no traffic",
        ),
        Panel(
            "Prompt tokens saved",
            "Tokens that were not computed, because the prefix cache had them.",
            "count:tok/s",
            [
                worst(
                    f"{BY_ENGINE} (rate(vllmd_prompt_tokens_cached_total{{{ENGINES}}}{RATE}))", NAME
                )
            ],
            nothing="no engine serves",
        ),
        Panel(
            "Prompts that the cache helped, at least",
            "Since the engine's start; a lower bound, from two histograms of vLLM.",
            "percentunit",
            [worst(f"vllmd_prefix_cache_prompts_helped_ratio_min{{{ENGINES}}}", NAME)],
            maximum=1,
            nothing="vLLM does not show it, or no traffic",
        ),
        Panel(
            "KV cache: tokens held, and room",
            "Full, with requests waiting: lower max_model_len, or give it more memory.",
            "short",
            [
                worst(f"vllmd_kv_cache_used_tokens{{{ENGINES}}}", f"{NAME} held"),
                worst(f"vllmd_kv_cache_capacity_tokens{{{ENGINES}}}", f"{NAME} room", dashed=True),
            ],
            nothing="vLLM does not show it",
        ),
        Panel(
            "Requests at once, and the limit",
            "A peak far below the limit wastes nothing; one at the limit makes requests wait.",
            "short",
            [
                worst(f"vllmd_requests_running{{{ENGINES}}}", f"{NAME} now"),
                worst(f"vllmd_requests_running_peak{{{ENGINES}}}", f"{NAME} peak"),
                worst(f"vllmd_engine_max_num_seqs{{{ENGINES}}}", f"{NAME} limit", dashed=True),
            ],
            nothing="no engine serves",
            width=WIDE,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-adapters-and-cost",
        "vllmd: adapters, cost, caching",
        "Which adapters serve and who uses them, what tokens cost, whether caches are used.",
        [ADAPTERS, COST, CACHING],
        span="7d",
    )
