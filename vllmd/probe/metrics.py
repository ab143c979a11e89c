"""Whether the answers of engines are those of their references."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.probe.status import AnswersVerdict, ProbeStatus

LABELS = ["vllmd_engine"]

Figures = Callable[[], Mapping[str, ProbeStatus]]


class ProbesCollector:
    """How each engine's answers stand that are looked at."""

    name = "probes"

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield nothing where no engine has a table `probe`."""
        figures = self._figures()
        if not figures:
            return
        verdict = GaugeMetricFamily(
            "vllmd_probe_verdict",
            "1 for what is known of an engine's answers, 0 for the others: unknown, right, wrong, "
            "not_applicable.",
            labels=[*LABELS, "verdict"],
        )
        asked = CounterMetricFamily(
            "vllmd_probe_asked_total",
            "Probes of an engine's answers, each of all prompts.",
            labels=LABELS,
        )
        mismatches = CounterMetricFamily(
            "vllmd_probe_mismatches_total",
            "Probes whose answers were not those of the reference.",
            labels=LABELS,
        )
        right = GaugeMetricFamily(
            "vllmd_probe_last_success_timestamp_seconds",
            "When the answers were last right, Unix time.",
            labels=LABELS,
        )
        distance = GaugeMetricFamily(
            "vllmd_probe_distance_nats",
            "How far the last answers were from the reference: the mean difference of "
            "log-probabilities, each weighted by its probability.",
            labels=LABELS,
        )
        limit = GaugeMetricFamily(
            "vllmd_probe_distance_limit_nats",
            "How far they may be.",
            labels=LABELS,
        )
        for engine, each in figures.items():
            for name in AnswersVerdict:
                verdict.add_metric([engine, str(name)], each.verdict is name)
            asked.add_metric([engine], each.asked)
            mismatches.add_metric([engine], each.mismatches)
            if each.right_at is not None:
                right.add_metric([engine], each.right_at)
            if each.distance is not None and each.limit is not None:
                distance.add_metric([engine], each.distance)
                limit.add_metric([engine], each.limit)
        yield from (verdict, asked, mismatches, right, distance, limit)
