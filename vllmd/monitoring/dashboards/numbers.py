"""The eight numbers on top of the overview: what a person on call looks at first. Pure."""

from vllmd.monitoring.dashboards.looks import NO_IS_GOOD
from vllmd.monitoring.dashboards.panels import ENGINES, HOSTS, LATENCY, RATE, Panel, Query
from vllmd.monitoring.settings import RuleSettings

_ASLEEP = f'vllmd_engine_state{{state="sleeping",{ENGINES}}} == 1'
_TURN = f"vllmd_engine_awaited_turn_info{{{ENGINES}}} == 1"
_ON = "on (instance, vllmd_engine)"
_MEANT = f"(vllmd_engine_wanted{{{ENGINES}}} == 1 unless {_ON} ({_ASLEEP} or {_TURN}))"
"""Those that are to serve now: one that sleeps, or waits for its turn on a GPU, is not."""
_NONE = f"count(vllmd_engine_wanted{{{ENGINES}}}) * 0"
_SERVE = f"(sum(vllmd_engine_up{{{ENGINES}}} and {_ON} {_MEANT}) or {_NONE})"
_WANTED = f"(count({_MEANT}) or {_NONE})"
_MISSING = f"({_MEANT} unless vllmd_engine_up{{{ENGINES}}} == 1)"
_SINCE = (
    f"time() - vllmd_engine_state_change_timestamp_seconds{{{ENGINES}}} and on (instance, "
    f"vllmd_engine) {_MISSING}"
)
_BUDGET = round(1 - RuleSettings().ttft_target, 4)
_LATE = f"max(vllmd:ttft_slow:ratio_rate1h{{{ENGINES}}})"
_HTTP = f"http_requests_total{{{ENGINES}}}"
_HTTP_FAILED = f'http_requests_total{{status=~"5..",{ENGINES}}}'
_LOST = f"sum(increase(vllmd_requests_lost_total{{{ENGINES}}}[$__range]))"
_RULES = 'absent(ALERTS{alertname="VllmdWatchdog"}) * -1'
"""-1 where no alert is evaluated at all."""


def _firing(severity: str) -> str:
    where = f'severity="{severity}",alertstate="firing",instance=~"$instance|",alertname=~"Vllmd.+"'
    return f"count(ALERTS{{{where}}}) or {_RULES} or vector(0)"


def _now(expr: str) -> str:
    """Return -1 where there is nothing now: Grafana would go on showing the last value."""
    return f"({expr}) or vector(-1)"


def _number(
    title: str, help: str, *queries: Query, unit: str = "short", nothing: str, colour: str = "text"
) -> Panel:
    words = {"-1": (nothing, colour)}
    return Panel(title, help, unit, queries, "stat", 3, 5, nothing=nothing, words=words)


NUMBERS = (
    _number(
        "Serving",
        "Engines whose API answers, of those that are to serve now; those that sleep or wait for "
        "their turn; and hosts that Prometheus cannot reach: what runs there is not known.",
        Query(
            f'label_replace({_SERVE} == {_WANTED}, "all", "all", "", "")',
            "all that are wanted",
            instant=True,
            colour="green",
        ),
        Query(
            f'(count_values("of", {_WANTED}) * 0 + on () group_left () {_SERVE}) '
            f"and on () ({_SERVE} < {_WANTED})",
            "of {{of}} wanted",
            instant=True,
            colour="red",
        ),
        Query(
            f"count(vllmd_engine_wanted{{{ENGINES}}} == 1 and {_ON} ({_ASLEEP} or {_TURN}))",
            "asleep",
            instant=True,
            colour="blue",
        ),
        Query(
            f'count(up{{job=~"$job",{HOSTS}}} == 0)',
            "silent hosts",
            instant=True,
            colour="red",
        ),
        nothing="no engine is known",
    ),
    _number(
        "Not serving",
        "To serve now, and the API does not answer. Minutes are normal for a start; the table has "
        "more.",
        Query(_now(f"count({_MISSING}) or {_WANTED} * 0"), "engines", steps=NO_IS_GOOD),
        Query(f"max({_SINCE})", "longest", unit="s", colour="orange", instant=True),
        nothing="not known",
        colour="purple",
    ),
    _number(
        "No restart left",
        "They serve, and too little GPU memory is left for a restart: 'vllmd gpu' says who has it.",
        Query(
            _now(
                "count(min by (instance, vllmd_engine) (vllmd_gpu_memory_restart_margin_bytes"
                f"{{{ENGINES}}}) < 0 and {_ON} vllmd_engine_up{{{ENGINES}}} == 1) "
                f"or count(vllmd_gpu_up{{{HOSTS}}}) * 0"
            ),
            "engines",
            steps=NO_IS_GOOD,
        ),
        nothing="no GPU",
    ),
    _number(
        "TTFT p95",
        f"Red above {RuleSettings().ttft_s:g} s, which is what the budget counts as too late.",
        Query(
            _now(f"max(vllmd:time_to_first_token_seconds:p95{{{ENGINES}}} >= 0)"),
            "worst engine",
            steps=((RuleSettings().ttft_s, "red"),),
        ),
        unit=LATENCY,
        nothing="no traffic",
    ),
    _number(
        "Late, and burn",
        "Share of first tokens that were late within an hour, of the worst engine; and how many "
        "times as fast as allowed that uses up the budget.",
        Query(_now(_LATE), "late", steps=((_BUDGET, "red"),)),
        Query(
            _now(f"{_LATE} / {_BUDGET:g}"),
            "burn",
            unit="suffix:x",
            steps=((1, "orange"), (6, "red")),
        ),
        unit="percentunit",
        nothing="no traffic",
    ),
    _number(
        "Errors, lost",
        "Share of requests answered with 5xx; and those in flight when an engine ended, within "
        "the time shown.",
        Query(
            _now(
                f"(sum(rate({_HTTP_FAILED}{RATE})) or sum(rate({_HTTP}{RATE})) * 0) "
                f"/ (sum(rate({_HTTP}{RATE})) > 0)"
            ),
            "5xx",
            unit="percentunit",
            steps=((RuleSettings().errors_ratio, "red"),),
        ),
        Query(f"round({_LOST})", "lost", instant=True, steps=((1, "orange"),)),
        nothing="no traffic",
    ),
    _number(
        "Waiting, KV",
        "Both high: more is asked for than the engine can take. Full alone is well used.",
        Query(
            _now(f"sum(vllmd_requests_waiting{{{ENGINES}}})"), "waiting", steps=((50, "orange"),)
        ),
        Query(
            _now(f"max(vllmd_kv_cache_usage_ratio{{{ENGINES}}})"),
            "KV cache",
            unit="percentunit",
            steps=((RuleSettings().kv_ratio, "orange"),),
            most=1,
        ),
        nothing="none serves",
    ),
    Panel(
        "Alerts",
        "Those that fire. -1: no alert is evaluated, load the rules (vllmd rules export).",
        "short",
        [
            Query(_firing("critical"), "critical", steps=((-2, "red"), (0, "green"), (1, "red"))),
            Query(_firing("warning"), "warning", steps=((-2, "red"), (0, "green"), (1, "orange"))),
        ],
        "stat",
        3,
        5,
        minimum=None,
        words={"-1": ("no rules", "red")},
    ),
)
