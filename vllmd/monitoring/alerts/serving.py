"""Are those who wait for answers served as promised?"""

from collections.abc import Iterator

from vllmd.monitoring.expressions import ON_ENGINE, still
from vllmd.monitoring.rules import BY_ENGINE, ENGINE, WHY, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, number

FEW = 50
"""Fewer requests within an hour say nothing about a budget of 1 %."""
TTFT_COUNT = "vllmd_time_to_first_token_seconds_count"
TRACES = "vllmd traces {{ $labels.vllmd_engine }}"
ERRORS = "vllmd logs {{ $labels.vllmd_engine }} --level error"

ANSWERS = 'http_requests_total{vllmd_engine!="", status="5xx"}'
REJECTED = 'vllmd_request_errors_total{reason=~"rejected_.+"}'


def _broken(function: str, window: str) -> str:
    """Return how many 5xx there were without those of a full queue, which have an alert of theirs.

    Source: vLLM answers a queue limit with 503 (v1/engine/async_llm.py and exceptions.py, 0.32).
    """
    every = f"{BY_ENGINE} ({function}({ANSWERS}[{window}]))"
    turned_away = f"{BY_ENGINE} ({function}({REJECTED}[{window}]))"
    return f"({every} - ({turned_away} or {every} * 0))"


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of requests."""
    return RuleGroup(
        "vllmd-serving",
        "Are those who wait for answers served as promised?",
        [*_budgets(settings), *_waiting(settings), *_failing(settings)],
    )


def _enough(window: str) -> str:
    return f"{ON_ENGINE} {BY_ENGINE} (increase({TTFT_COUNT}[{window}])) > {FEW}"


def _burn(what: str, target: float) -> str:
    """Fast: 2 % of a month's budget within an hour; slow: 5 % within six.

    Source: the SRE workbook, alerting on SLOs, multiwindow and multi-burn-rate.
    """
    spare = 1 - target
    ratio = f"vllmd:{what}:ratio_rate"
    return f"""
    (
      ({ratio}1h > {14.4 * spare:.4g} and {ratio}5m > {14.4 * spare:.4g})
        or ({ratio}6h > {6 * spare:.4g} and {ratio}30m > {6 * spare:.4g})
    )
      and {_enough("1h")}
      {still(TTFT_COUNT)}
    """


def _slow_burn(name: str, what: str, target: float, summary: str) -> Alert:
    """10 % of a month's budget within three days: nobody is woken, but it does not last."""
    ratio = f"vllmd:{what}:ratio_rate"
    return Alert(
        name,
        AlertSeverity.WARNING,
        f"""
    {ratio}3d > {1 - target:.4g} and {ratio}6h > {1 - target:.4g}
      and {_enough("6h")}
      {still(TTFT_COUNT)}
    """,
        summary,
        f"{1 - target:.2%} may: at this rate the month's budget does not last.",
        TRACES,
        wait="1h",
    )


def _budgets(settings: RuleSettings) -> Iterator[Alert]:
    share = f"{ENGINE}: {{{{ $value | humanizePercentage }}}} of"
    late = f"take longer than {settings.ttft_s:g} s"
    apart = f"come more than {settings.itl_s:g} s after the one before"
    yield Alert(
        "VllmdTtftBudgetBurn",
        AlertSeverity.CRITICAL,
        _burn("ttft_slow", settings.ttft_target),
        f"{share} first tokens {late}",
        f"{1 - settings.ttft_target:.2%} may. The dashboard 'vllmd: engine' shows whether they "
        "wait in the queue or in prefill.",
        TRACES,
        wait="2m",
    )
    yield _slow_burn(
        "VllmdTtftBudgetSlowBurn",
        "ttft_slow",
        settings.ttft_target,
        f"{share} first tokens of three days {late}",
    )
    yield Alert(
        "VllmdItlBudgetBurn",
        AlertSeverity.CRITICAL,
        _burn("itl_slow", settings.itl_target),
        f"{share} tokens {apart}",
        f"{1 - settings.itl_target:.2%} may. Too many requests at once, or long prompts between "
        "them: the dashboard 'vllmd: engine' shows both.",
        TRACES,
        wait="2m",
    )
    yield _slow_burn(
        "VllmdItlBudgetSlowBurn",
        "itl_slow",
        settings.itl_target,
        f"{share} tokens of three days {apart}",
    )


def _waiting(settings: RuleSettings) -> Iterator[Alert]:
    queue = f"{BY_ENGINE} (avg_over_time(vllmd_requests_waiting[10m]))"
    yield Alert(
        "VllmdQueueSlow",
        AlertSeverity.WARNING,
        f"vllmd:request_queue_seconds:p95 > {number(settings.queue_s)}",
        f'{ENGINE}: 5 % of requests wait longer than {{{{ printf "%.1f" $value }}}} s',
        "More arrive than it can take. Send fewer, add an engine, or see what holds the KV cache.",
        TRACES,
        wait="10m",
    )
    yield Alert(
        "VllmdQueueStuck",
        AlertSeverity.WARNING,
        f"""
        {BY_ENGINE} (min_over_time(vllmd_requests_waiting[15m])) > 0
          and {BY_ENGINE} (deriv(vllmd_requests_waiting[15m])) > 0
          unless {BY_ENGINE} (increase(vllmd_requests_finished_total[15m])) > 0
          {still("vllmd_requests_waiting")}
        """,
        f"{ENGINE}: requests wait, more and more, and none has finished for 15 minutes",
        "Very long answers, or requests that wait for what never comes.",
        WHY,
        wait="5m",
    )
    yield Alert(
        "VllmdKvCacheSaturated",
        AlertSeverity.WARNING,
        # a queue that one scrape finds empty is a queue all the same
        f"""
        max by (instance, vllmd_engine) (avg_over_time(vllmd_kv_cache_usage_ratio[10m]))
            > {number(settings.kv_ratio)}
          and {ON_ENGINE} {queue} > 1
          {still("vllmd_kv_cache_usage_ratio")}
        """,
        f"{ENGINE}: the KV cache is {{{{ $value | humanizePercentage }}}} full, and requests wait "
        "for it",
        "Lower max_model_len or max_num_seqs, give it more memory, or add an engine.",
        WHY,
        wait="10m",
    )
    yield Alert(
        "VllmdPreemptions",
        AlertSeverity.WARNING,
        f"""
        {BY_ENGINE} (rate(vllmd_preemptions_total[10m]))
          / ({BY_ENGINE} (rate(vllmd_requests_finished_total[10m])) > 0)
          > {number(settings.preemptions_ratio)}
          {still("vllmd_preemptions_total")}
        """,
        f'{ENGINE} preempts {{{{ printf "%.2f" $value }}}} times for each request that finishes',
        "Requests lose their KV cache and are computed again. Lower max_num_seqs.",
        WHY,
        wait="15m",
    )


def _failing(settings: RuleSettings) -> Iterator[Alert]:
    errors = 'vllmd_request_errors_total{reason="error"}'
    yield Alert(
        "VllmdRequestErrors",
        AlertSeverity.CRITICAL,
        f"""
        {BY_ENGINE} (rate({errors}[3m]))
          / ({BY_ENGINE} (rate(vllmd_requests_finished_total[3m])) > 0)
          > {number(settings.errors_ratio)}
          and {BY_ENGINE} (increase({errors}[10m])) > 3
          {still(errors)}
        """,
        f"{ENGINE}: {{{{ $value | humanizePercentage }}}} of requests fail",
        "vLLM gave up on them: its log says why. Look for an Xid too.",
        ERRORS,
        wait="5m",
    )
    yield Alert(
        "VllmdHttpErrors",
        AlertSeverity.CRITICAL,
        # requests that never reach the core are on no other counter of vLLM; the short window
        # says that it goes on
        f"""
        {_broken("rate", "3m")}
          / ({BY_ENGINE} (rate(http_requests_total{{vllmd_engine!=""}}[3m])) > 0)
          > {number(settings.errors_ratio)}
          and {_broken("increase", "10m")} > 3
          {still(ANSWERS)}
        """,
        f"{ENGINE} answers {{{{ $value | humanizePercentage }}}} of HTTP requests with 5xx",
        "Its API fails before or after the model: the log has a traceback of each.",
        ERRORS,
        wait="5m",
    )
    yield Alert(
        "VllmdRequestsLost",
        AlertSeverity.WARNING,
        f"increase(vllmd_requests_lost_total[15m]) > 0 {still('vllmd_requests_lost_total')}",
        f'{ENGINE} ended with {{{{ printf "%.0f" $value }}}} requests in flight',
        "Clients got an error or half an answer; vllmd restarts the engine, and they have to ask "
        "again.",
        WHY,
    )
    yield Alert(
        "VllmdRejections",
        AlertSeverity.WARNING,
        f"""
        {BY_ENGINE} (rate(vllmd_request_errors_total{{reason=~"rejected_.+"}}[5m])) > 0.1
          {still("vllmd_request_errors_total")}
        """,
        f'{ENGINE} turns away {{{{ printf "%.1f" $value }}}} requests a second',
        "Its queue is full, as configured. Send fewer, or add an engine.",
        "vllmd status",
        wait="10m",
    )
