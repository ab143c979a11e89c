"""Are those who wait for answers served as promised?"""

from vllmd.monitoring.rules import BY_ENGINE, ENGINE, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, number

FEW = 50
"""Fewer requests within an hour say nothing about a budget of 1 %."""


def _burn(what: str, target: float, count: str) -> str:
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
      and on (instance, vllmd_engine) {BY_ENGINE} (increase({count}[1h])) > {FEW}
    """


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of requests."""
    return RuleGroup(
        "vllmd-serving",
        "Are those who wait for answers served as promised?",
        [
            Alert(
                "VllmdTtftBudgetBurn",
                AlertSeverity.CRITICAL,
                _burn("ttft_slow", settings.ttft_target, "vllmd_time_to_first_token_seconds_count"),
                f"{ENGINE}: {{{{ $value | humanizePercentage }}}} of first tokens take longer than "
                f"{settings.ttft_s:g} s",
                f"{1 - settings.ttft_target:.2%} may. The dashboard 'vllmd: engine' shows whether "
                "they wait in the queue or in prefill; 'vllmd traces' has the slowest.",
                wait="2m",
            ),
            Alert(
                "VllmdItlBudgetBurn",
                AlertSeverity.CRITICAL,
                _burn("itl_slow", settings.itl_target, "vllmd_time_to_first_token_seconds_count"),
                f"{ENGINE}: {{{{ $value | humanizePercentage }}}} of tokens come more than "
                f"{settings.itl_s:g} s after the one before",
                f"{1 - settings.itl_target:.2%} may. Too many requests at once, or long prompts "
                "between them: the dashboard 'vllmd: engine' shows both.",
                wait="2m",
            ),
            Alert(
                "VllmdQueueSlow",
                AlertSeverity.WARNING,
                f"vllmd:request_queue_seconds:p95 > {number(settings.queue_s)}",
                f'{ENGINE}: 5 % of requests wait longer than {{{{ printf "%.1f" $value }}}} s',
                "More arrive than it can take. Send fewer, add an engine, or see what holds the "
                "KV cache.",
                wait="10m",
            ),
            Alert(
                "VllmdKvCacheSaturated",
                AlertSeverity.WARNING,
                f"""
                max by (instance, vllmd_engine) (min_over_time(vllmd_kv_cache_usage_ratio[5m]))
                    > {number(settings.kv_ratio)}
                  and on (instance, vllmd_engine)
                    {BY_ENGINE} (vllmd_requests_waiting) > 0
                """,
                f"{ENGINE}: the KV cache is {{{{ $value | humanizePercentage }}}} full, and "
                "requests wait for it",
                "Lower max_model_len or max_num_seqs, give it more memory, or add an engine.",
                wait="10m",
            ),
            Alert(
                "VllmdPreemptions",
                AlertSeverity.WARNING,
                f"""
                {BY_ENGINE} (rate(vllmd_preemptions_total[10m]))
                  / ({BY_ENGINE} (rate(vllmd_requests_finished_total[10m])) > 0)
                  > {number(settings.preemptions_ratio)}
                """,
                f'{ENGINE} preempts {{{{ printf "%.2f" $value }}}} times for each request that '
                "finishes",
                "Requests lose their KV cache and are computed again. Lower max_num_seqs.",
                wait="15m",
            ),
            Alert(
                "VllmdRequestErrors",
                AlertSeverity.CRITICAL,
                f"""
                {BY_ENGINE} (rate(vllmd_request_errors_total{{reason="error"}}[10m]))
                  / ({BY_ENGINE} (rate(vllmd_requests_finished_total[10m])) > 0)
                  > {number(settings.errors_ratio)}
                  and {BY_ENGINE} (increase(vllmd_request_errors_total{{reason="error"}}[10m])) > 3
                """,
                f"{ENGINE}: {{{{ $value | humanizePercentage }}}} of requests fail",
                "vLLM gave up on them. 'vllmd logs --level error' says why; look for an Xid too.",
                wait="5m",
            ),
            Alert(
                "VllmdRejections",
                AlertSeverity.WARNING,
                f"""
                {BY_ENGINE} (rate(vllmd_request_errors_total{{reason=~"rejected_.+"}}[10m])) > 0.1
                """,
                f'{ENGINE} turns away {{{{ printf "%.1f" $value }}}} requests a second',
                "Its queue is full, as configured. Send fewer, or add an engine.",
                wait="10m",
            ),
        ],
    )
