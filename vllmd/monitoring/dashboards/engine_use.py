"""An engine's rows of what it uses, what holds it back, and how its starts went. Pure."""

from vllmd.monitoring.dashboards.looks import DIRECTIONS, LEVELS, PHASES
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    HOSTS,
    MOST_SERIES,
    RATE,
    Panel,
    PanelRow,
    Query,
)
from vllmd.monitoring.dashboards.states import weights
from vllmd.monitoring.dashboards.tables import TableColumn

MODELS = f'{ENGINES},model_name=~"$model"'
DOWN = "the engine does not serve"

USE = PanelRow(
    "Use: what does it have, what waits, what fails?",
    [
        Panel(
            "KV cache in use",
            "Full and requests waiting: too long contexts, or too many at once.",
            "percentunit",
            [Query(f"vllmd_kv_cache_usage_ratio{{{MODELS}}}", "rank {{engine}}")],
            maximum=1,
            nothing=DOWN,
        ),
        Panel(
            "Requests that are computed",
            "At the dashed line, which is max_num_seqs, further ones wait. Red: no token comes of "
            "them, as in a hang or a very long prompt.",
            "short",
            [
                Query(f"sum(vllmd_requests_running{{{MODELS}}})", "computed", colour="green"),
                Query(
                    f"max(vllmd_engine_max_num_seqs{{{ENGINES}}})",
                    "at most",
                    colour="text",
                    dashed=True,
                ),
                Query(
                    f"sum(vllmd_requests_running{{{MODELS}}}) > 0 "
                    f"and on () (sum(rate(vllmd_tokens_total{{{MODELS}}}{RATE})) == 0)",
                    "without a token",
                    colour="red",
                    alone=True,
                ),
            ],
            nothing=DOWN,
        ),
        Panel(
            "Requests that wait, by what for",
            "capacity: the KV cache is full, or max_num_seqs is reached.",
            "short",
            [Query(f"sum by (reason) (vllmd_requests_waiting{{{MODELS}}})", "{{reason}}")],
            nothing=DOWN,
        ),
        Panel(
            "Preemptions",
            "Requests that lost their KV cache and are computed again. Zero is normal.",
            "reqps",
            [Query(f"sum(rate(vllmd_preemptions_total{{{MODELS}}}{RATE}))", "preempted")],
            nothing=DOWN,
        ),
        Panel(
            "Tokens",
            "In and out. In without out: prefill only, or clients do not read the answers.",
            "count:tok/s",
            [
                Query(
                    f"sum by (direction) (rate(vllmd_tokens_total{{{MODELS}}}{RATE}))",
                    "{{direction}}",
                )
            ],
            colours=DIRECTIONS,
            nothing=DOWN,
        ),
        Panel(
            "GPUs at work",
            "Share of time in which a kernel ran, of the engine's GPUs.",
            "percentunit",
            [
                Query(
                    f"topk({MOST_SERIES}, vllmd_gpu_busy_ratio{{{HOSTS}}} and on (instance, uuid) "
                    f"vllmd_gpu_memory_budget_bytes{{{ENGINES}}})",
                    "GPU {{gpu}}",
                )
            ],
            width=8,
            height=8,
            maximum=1,
            nothing="no GPU",
            legend="bottom",
        ),
        Panel(
            "Prefix cache: share of tokens found",
            "It falls when what prompts have in common does not come first.",
            "percentunit",
            [
                Query(
                    f"sum(rate(vllmd_prefix_cache_hits_total{{{MODELS}}}{RATE})) "
                    f"/ (sum(rate(vllmd_prefix_cache_queries_total{{{MODELS}}}{RATE})) > 0)",
                    "found",
                )
            ],
            maximum=1,
            nothing="no traffic",
        ),
        Panel(
            "CPU of the engine's processes",
            "In cores. One core at its limit is the API server's: more API servers help.",
            "suffix:cores",
            [Query(f"rate(vllmd_engine_cpu_seconds_total{{{ENGINES}}}{RATE})", "CPU")],
            decimals=2,
            nothing="the engine does not run",
        ),
        Panel(
            "Memory of the engine's processes",
            "Of the host, not of GPUs. Growth without end: the kernel will end it.",
            "bytes",
            [Query(f"vllmd_engine_memory_resident_bytes{{{ENGINES}}}", "resident")],
            nothing="the engine does not run",
        ),
    ],
)

STARTS = PanelRow(
    "Starts and ends: how did it get here?",
    [
        Panel(
            "Unexpected exits, by cause",
            "Since the daemon began. vllmd why has the evidence.",
            "short",
            [Query(f"sum by (cause) (vllmd_engine_failures_total{{{ENGINES}}}) > 0", "{{cause}}")],
            "table",
            width=6,
            nothing="none",
            columns=[TableColumn("cause", "Cause"), TableColumn("A", "Times", width=80)],
            first="-Times",
        ),
        Panel(
            "The last start, by phase",
            "Weights too long: a slow disk. Compile each time: no compile cache.",
            "s",
            [Query(f"max by (phase) (vllmd_engine_start_phase_seconds{{{ENGINES}}})", "{{phase}}")],
            stacked=True,
            colours=PHASES,
            width=6,
            nothing="no start was seen",
        ),
        Panel(
            "Whole starts",
            "Until the API answered: that long is an outage of one restart.",
            "s",
            [Query(f"vllmd_engine_start_duration_seconds{{{ENGINES}}}", "start")],
            width=6,
            nothing="no start was seen",
        ),
        Panel(
            "Lines printed",
            "By level; errors deserve a look: vllmd logs --level error.",
            "count:lines/s",
            [
                Query(
                    f"sum by (level) (rate(vllmd_log_lines_total{{{ENGINES}}}{RATE}))", "{{level}}"
                )
            ],
            colours=LEVELS,
            width=6,
            nothing="nothing was printed",
        ),
        weights(),
    ],
)
