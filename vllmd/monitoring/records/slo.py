"""How many are too slow, and how slow the slowest are, by engine."""

from collections.abc import Iterator

from vllmd.monitoring.rules import BY_ENGINE, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings, le

BY_BUCKET = "sum by (instance, vllmd_engine, le)"
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
LATENCIES = {
    "time_to_first_token_seconds": "vllmd_time_to_first_token_seconds",
    "inter_token_latency_seconds": "vllmd_inter_token_latency_seconds",
    "request_latency_seconds": "vllmd_request_latency_seconds",
    "request_queue_seconds": "vllmd_request_queue_seconds",
}


def group(settings: RuleSettings) -> RuleGroup:
    """Return the recorded series of latencies."""
    rules = [
        *_slow("ttft_slow", "vllmd_time_to_first_token_seconds", settings.ttft_s),
        *_slow("itl_slow", "vllmd_inter_token_latency_seconds", settings.itl_s),
        *_quantiles(),
    ]
    about = "How many are too slow, and how slow the slowest are, by engine. Windows are in names."
    return RuleGroup("vllmd-slo", about, rules, interval="30s")


def _slow(what: str, histogram: str, bound_s: float) -> Iterator[RecordingRule]:
    for window in WINDOWS:
        yield RecordingRule(
            f"vllmd:{what}:ratio_rate{window}",
            f"""
            1 - {BY_ENGINE} (rate({histogram}_bucket{{{le(bound_s)}}}[{window}]))
              / ({BY_ENGINE} (rate({histogram}_count[{window}])) > 0)
            """,
        )


def _quantiles() -> Iterator[RecordingRule]:
    for name, histogram in LATENCIES.items():
        for label, quantile in QUANTILES.items():
            rate = f"{BY_BUCKET} (rate({histogram}_bucket[5m]))"
            yield RecordingRule(
                f"vllmd:{name}:{label}", f"histogram_quantile({quantile:g}, {rate})"
            )
