"""One engine: how long do requests take and why, and how did its starts go?"""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    NAME,
    NO_IS_GOOD,
    RATE,
    Panel,
    PanelRow,
    Query,
)
from vllmd.monitoring.dashboards.states import states
from vllmd.monitoring.rules import BY_ENGINE
from vllmd.monitoring.settings import RuleSettings

MODELS = f'{ENGINES},model_name=~"$model"'


def _quantiles(title: str, help: str, name: str, bound_s: float | None = None) -> Panel:
    return Panel(
        title,
        help,
        "s",
        [
            Query(f"vllmd:{name}:{p}{{{ENGINES}}}", f"{NAME} {text}")
            for p, text in (("p50", "50 %"), ("p95", "95 %"), ("p99", "99 %"))
        ],
        steps=((bound_s, "red"),) if bound_s else (),
    )


def _spans(title: str, help: str, name: str) -> Panel:
    rate = f"rate(vllmd_span_{name}_seconds_bucket{{{ENGINES}}}{RATE})"
    expr = f"histogram_quantile(0.95, sum by (instance, vllmd_engine, adapter, le) ({rate}))"
    return Panel(title, help, "s", [Query(expr, f"{NAME} {{{{adapter}}}}")])


LATENCY = PanelRow(
    "Latency: how long, and where is it spent?",
    [
        _quantiles(
            "Time to first token",
            "From arrival to the first token; the line is what counts as too late.",
            "time_to_first_token_seconds",
            RuleSettings().ttft_s,
        ),
        _quantiles(
            "Time between tokens",
            "A reader sees stutter above the line: too many at once, or long prompts between them.",
            "inter_token_latency_seconds",
            RuleSettings().itl_s,
        ),
        _quantiles(
            "Whole requests",
            "From arrival to the last token: it grows with the length of answers.",
            "request_latency_seconds",
        ),
        Panel(
            "Time to first token, all of it",
            "Two bands are two kinds of requests: short prompts, and long ones or a queue.",
            "short",
            [
                Query(
                    "sum by (le) (increase(vllmd_time_to_first_token_seconds_bucket"
                    f"{{{MODELS}}}{RATE}))",
                    "{{le}}",
                    heatmap=True,
                )
            ],
            "heatmap",
        ),
        _quantiles(
            "Wait in the queue",
            "More than a moment: the KV cache is full, or max_num_seqs is reached.",
            "request_queue_seconds",
        ),
        Panel(
            "Budget: what came too late",
            "Share of first tokens and of tokens, within an hour; the line is what may.",
            "percentunit",
            [
                Query(f"vllmd:ttft_slow:ratio_rate1h{{{ENGINES}}}", f"{NAME} first tokens"),
                Query(f"vllmd:itl_slow:ratio_rate1h{{{ENGINES}}}", f"{NAME} tokens"),
            ],
            steps=((round(1 - RuleSettings().ttft_target, 4), "red"),),
        ),
        _spans(
            "Queue, 95 %, by adapter",
            "From spans: which adapter's requests wait.",
            "queue",
        ),
        _spans("Prefill, 95 %, by adapter", "From spans: long prompts make it long.", "prefill"),
        _spans("Decode, 95 %, by adapter", "From spans: long answers make it long.", "decode"),
    ],
)

WORK = PanelRow(
    "Work: what does it do, and what holds it back?",
    [
        Panel(
            "Requests",
            "Computed at this moment, and those that wait, by what for.",
            "short",
            [
                Query(f"{BY_ENGINE} (vllmd_requests_running{{{MODELS}}})", f"{NAME} running"),
                Query(
                    f"sum by (instance, vllmd_engine, reason) (vllmd_requests_waiting{{{MODELS}}})",
                    f"{NAME} waiting: {{{{reason}}}}",
                ),
            ],
        ),
        Panel(
            "Tokens",
            "In and out. In without out: prefill only, or clients do not read the answers.",
            "short",
            [
                Query(
                    "sum by (instance, vllmd_engine, direction) "
                    f"(rate(vllmd_tokens_total{{{MODELS}}}{RATE}))",
                    f"{NAME} {{{{direction}}}}/s",
                )
            ],
        ),
        Panel(
            "How requests end",
            "stop and length are well; abort: the client hung up; error: vLLM gave up.",
            "reqps",
            [
                Query(
                    "sum by (instance, vllmd_engine, reason) "
                    f"(rate(vllmd_requests_finished_total{{{MODELS}}}{RATE}))",
                    f"{NAME} {{{{reason}}}}",
                )
            ],
            stacked=True,
        ),
        Panel(
            "KV cache in use",
            "Full and requests waiting: too long contexts, or too many at once.",
            "percentunit",
            [
                Query(
                    f"vllmd_kv_cache_usage_ratio{{{MODELS}}}",
                    f"{NAME} rank {{{{engine}}}}",
                )
            ],
            maximum=1,
        ),
        Panel(
            "Preemptions",
            "Requests that lost their KV cache and are computed again. Zero is normal.",
            "reqps",
            [Query(f"{BY_ENGINE} (rate(vllmd_preemptions_total{{{MODELS}}}{RATE}))", NAME)],
        ),
        Panel(
            "Prefix cache: share of tokens found",
            "It falls when what prompts have in common does not come first.",
            "percentunit",
            [
                Query(
                    f"{BY_ENGINE} (rate(vllmd_prefix_cache_hits_total{{{MODELS}}}{RATE})) "
                    f"/ ({BY_ENGINE} (rate(vllmd_prefix_cache_queries_total{{{MODELS}}}{RATE}))"
                    " > 0)",
                    NAME,
                )
            ],
            maximum=1,
        ),
        Panel(
            "Requests that failed",
            "By reason: error is vLLM's, abort the client's, rejected_… the queue's limit.",
            "reqps",
            [
                Query(
                    "sum by (instance, vllmd_engine, reason) "
                    f"(rate(vllmd_request_errors_total{{{MODELS}}}{RATE}))",
                    f"{NAME} {{{{reason}}}}",
                )
            ],
        ),
        Panel(
            "Adapters: requests",
            "Of clients that send tracestate. 'vllmd: adapters, cost, caching' has more.",
            "reqps",
            [
                Query(
                    "sum by (instance, vllmd_engine, adapter) "
                    f"(rate(vllmd_span_requests_total{{{ENGINES}}}{RATE}))",
                    f"{NAME} {{{{adapter}}}}",
                )
            ],
        ),
        Panel(
            "CPU of the engine's processes",
            "One core at its limit is the API server's: more API servers help.",
            "short",
            [Query(f"rate(vllmd_engine_cpu_seconds_total{{{ENGINES}}}{RATE})", f"{NAME} cores")],
        ),
    ],
)

STARTS = PanelRow(
    "Starts and ends: how did it get here?",
    [
        states(width=16),
        Panel(
            "Restarts",
            "Starts after an unexpected exit; red marks on all panels say when.",
            "short",
            [Query(f"vllmd_engine_restarts_total{{{ENGINES}}}", NAME)],
        ),
        Panel(
            "The last start, by phase",
            "Weights too long: a slow disk. Compile each time: no compile cache.",
            "s",
            [
                Query(
                    f"vllmd_engine_start_phase_seconds{{{ENGINES}}}",
                    f"{NAME} {{{{phase}}}}",
                )
            ],
            stacked=True,
        ),
        Panel(
            "Whole starts",
            "Until the API answered: that long is an outage of one restart.",
            "s",
            [Query(f"vllmd_engine_start_duration_seconds{{{ENGINES}}}", NAME)],
        ),
        Panel(
            "Unexpected exits, by cause",
            "Since the daemon began; no cause and zero: none. vllmd why has the evidence.",
            "short",
            [
                Query(
                    f"vllmd_engine_failures_total{{{ENGINES}}} or on (instance, vllmd_engine) "
                    f"vllmd_engine_wanted{{{ENGINES}}} * 0",
                    f"{NAME} {{{{cause}}}}",
                )
            ],
            "table",
            left_out=["job"],
        ),
        Panel(
            "Memory of the engine's processes",
            "Of the host, not of GPUs. Growth without end: the kernel will end it.",
            "bytes",
            [Query(f"vllmd_engine_memory_resident_bytes{{{ENGINES}}}", NAME)],
        ),
        Panel(
            "Lines printed",
            "By level; errors deserve a look: vllmd logs --level error.",
            "short",
            [
                Query(
                    "sum by (instance, vllmd_engine, level) "
                    f"(rate(vllmd_log_lines_total{{{ENGINES}}}{RATE}))",
                    f"{NAME} {{{{level}}}}/s",
                )
            ],
        ),
        Panel(
            "Meant to run",
            "A requested stop is not an outage.",
            "short",
            [Query(f"vllmd_engine_wanted{{{ENGINES}}}", NAME)],
            "state-timeline",
            words={"0": ("stopped by an operator", "text"), "1": ("wanted", "green")},
            steps=NO_IS_GOOD,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-engine",
        "vllmd: engine",
        "One engine: how long requests take and why, and how its starts went.",
        [LATENCY, WORK, STARTS],
        ("engine", "model"),
    )
