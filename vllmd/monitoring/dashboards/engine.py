"""One engine: how long do requests take and why, what holds it back, how did its starts go?"""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.engine_use import STARTS, USE
from vllmd.monitoring.dashboards.looks import ENDS
from vllmd.monitoring.dashboards.panels import ENGINES, LATENCY, RATE, Panel, PanelRow, Query
from vllmd.monitoring.dashboards.states import states
from vllmd.monitoring.settings import RuleSettings

MODELS = f'{ENGINES},model_name=~"$model"'
HTTP = f"http_requests_total{{{ENGINES}}}"
NO_TRAFFIC = "no traffic"
BURNS = ((1, "yellow"), (6, "orange"), (14.4, "red"))
"""How fast the budget is used up: all of it in 30 days, in 5, in 2. Source: the SRE workbook."""


def _quantiles(
    title: str, help: str, name: str, bound_s: float | None = None, unit: str = LATENCY
) -> Panel:
    return Panel(
        title,
        help,
        unit,
        [
            Query(f"vllmd:{name}:{p}{{{ENGINES}}}", text, colour=colour)
            for p, text, colour in (
                ("p50", "half of them", "green"),
                ("p95", "95 %", "orange"),
                ("p99", "99 %", "red"),
            )
        ],
        steps=((bound_s, "red"),) if bound_s else (),
        nothing=NO_TRAFFIC,
    )


def _mean(name: str, legend: str, colour: str) -> Query:
    of = f"vllmd_request_{name}_seconds"
    return Query(
        f"sum(rate({of}_sum{{{MODELS}}}{RATE})) / (sum(rate({of}_count{{{MODELS}}}{RATE})) > 0)",
        legend,
        colour=colour,
    )


def _burn(what: str, legend: str, target: float) -> Query:
    return Query(f"max(vllmd:{what}:ratio_rate1h{{{ENGINES}}}) / {round(1 - target, 4):g}", legend)


NOW = PanelRow("", [states(width=24, height=4, name="{{vllmd_engine}}")])

RED = PanelRow(
    "Requests: how many, how many fail, how long do they take?",
    [
        Panel(
            "Rate: how requests end",
            "stop and length are well; abort: the client hung up; error: vLLM gave up.",
            "reqps",
            [
                Query(
                    f"sum by (reason) (rate(vllmd_requests_finished_total{{{MODELS}}}{RATE}))",
                    "{{reason}}",
                )
            ],
            stacked=True,
            colours=ENDS,
            nothing="the engine does not serve",
        ),
        Panel(
            "Errors: HTTP status",
            "5xx: the engine fails; 404: an adapter or path is not there; 400: the client's.",
            "reqps",
            [
                Query(
                    f'sum by (status) (rate({HTTP[:-1]},status="2xx"}}{RATE}))',
                    "2xx",
                    colour="green",
                ),
                Query(
                    f'sum by (status) (rate({HTTP[:-1]},status="4xx"}}{RATE}))',
                    "4xx",
                    colour="orange",
                ),
                Query(
                    f'sum by (status) (rate({HTTP[:-1]},status="5xx"}}{RATE}))', "5xx", colour="red"
                ),
            ],
            stacked=True,
            nothing="no traffic",
        ),
        Panel(
            "Errors: lost, given up, rejected",
            "Lost: in flight when the engine ended. By reason: error is vLLM's, abort the "
            "client's, rejected_… the queue's limit.",
            "short",
            [
                Query(
                    f"round(sum(increase(vllmd_requests_lost_total{{{ENGINES}}}[$__rate_interval])))",
                    "lost",
                    colour="red",
                ),
                Query(
                    "round(sum by (reason) "
                    f"(increase(vllmd_request_errors_total{{{MODELS}}}{RATE})))",
                    "{{reason}}",
                ),
            ],
            colours=ENDS,
            nothing="none",
        ),
        _quantiles(
            "Time to first token",
            "From arrival to the first token; the line is what counts as too late.",
            "time_to_first_token_seconds",
            RuleSettings().ttft_s,
        ),
        Panel(
            "Where a request spends its time",
            "The mean: it waits, its prompt is computed, its answer is. All three are the whole.",
            LATENCY,
            [
                _mean("queue", "queue", "orange"),
                _mean("prefill", "prefill", "blue"),
                _mean("decode", "decode", "green"),
            ],
            stacked=True,
            nothing=NO_TRAFFIC,
        ),
        Panel(
            "Burn of the budget",
            "How many times as fast as allowed late tokens use it up, within an hour. Lines: 1 is "
            "all of it in 30 days, 6 in five, 14.4 in two.",
            "suffix:x",
            [
                _burn("ttft_slow", "first tokens", RuleSettings().ttft_target),
                _burn("itl_slow", "tokens", RuleSettings().itl_target),
            ],
            steps=BURNS,
            nothing=NO_TRAFFIC,
        ),
        _quantiles(
            "Time between tokens",
            "A reader sees stutter above the line: too many at once, or long prompts between them.",
            "inter_token_latency_seconds",
            RuleSettings().itl_s,
            unit="s",
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
                    f"{{{MODELS}}}{RATE})) and on () "
                    f"sum(increase(vllmd_time_to_first_token_seconds_count{{{MODELS}}}{RATE})) > 0",
                    "{{le}}",
                    heatmap=True,
                )
            ],
            "heatmap",
            nothing=NO_TRAFFIC,
        ),
    ],
    closed=False,
)


def _spans(title: str, help: str, name: str) -> Panel:
    buckets = f'vllmd_span_{name}_seconds_bucket{{{ENGINES},adapter=~"$adapter"}}'
    return Panel(
        title,
        help,
        LATENCY,
        [
            Query(
                f"topk(10, histogram_quantile(0.95, sum by (adapter, le) (rate({buckets}{RATE}))))",
                "{{adapter}}",
                exemplar=True,
            )
        ],
        width=12,
        nothing="no spans arrive, or no traffic",
    )


ADAPTERS = PanelRow(
    "Adapters, by spans: dots are single requests, a click on one leads to its trace",
    [
        _spans(
            "First token, 95 %",
            "Of one adapter only: it is loaded too often.",
            "time_to_first_token",
        ),
        _spans("Queue, 95 %", "Which adapter's requests wait.", "queue"),
        _spans("Prefill, 95 %", "Long prompts make it long.", "prefill"),
        _spans("Decode, 95 %", "Long answers make it long.", "decode"),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-engine",
        "vllmd: engine",
        "One engine: how long requests take and why, and how its starts went.",
        [NOW, RED, USE, STARTS, ADAPTERS],
        ("instance", "engine", "model", "adapter"),
        single=("instance", "engine"),
    )
