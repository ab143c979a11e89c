"""How the reading of vLLM's own pages goes."""

from collections.abc import Collection, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.engine.metrics import LABEL
from vllmd.scrape.page import PageSource


class PagesCollector:
    """Whether each engine's page can be read, how old it is and what it cost."""

    name = "pages"

    def __init__(self, sources: Collection[PageSource]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield up, age, duration, size and failures of the readings, and who answers."""
        up = GaugeMetricFamily(
            "vllmd_engine_page_up", "Whether vLLM's own page was read last time.", labels=[LABEL]
        )
        age = GaugeMetricFamily(
            "vllmd_engine_page_age_seconds",
            "Age of the last good reading of vLLM's page, in seconds.",
            labels=[LABEL],
        )
        duration = GaugeMetricFamily(
            "vllmd_engine_page_read_duration_seconds",
            "How long the last good reading of vLLM's page took, in seconds.",
            labels=[LABEL],
        )
        size = GaugeMetricFamily(
            "vllmd_engine_page_size_bytes", "Size of vLLM's page, in bytes.", labels=[LABEL]
        )
        rejected = GaugeMetricFamily(
            "vllmd_engine_page_rejected_lines",
            "Lines of vLLM's page that are no samples and were left out.",
            labels=[LABEL],
        )
        failures = CounterMetricFamily(
            "vllmd_engine_page_failures_total",
            "Readings of vLLM's page that failed.",
            labels=[LABEL],
        )
        versions = GaugeMetricFamily(
            "vllmd_engine_version_info",
            "Always 1; the version is what vLLM's API says of itself, once it serves.",
            labels=[LABEL, "version"],
        )
        for source in self._sources:
            up.add_metric([source.engine], source.up)
            failures.add_metric([source.engine], source.failures)
            if source.version is not None:
                versions.add_metric([source.engine, source.version], 1)
            age_s = source.age_s()
            if source.last is not None and age_s is not None:
                age.add_metric([source.engine], age_s)
                duration.add_metric([source.engine], source.last.duration_s)
                size.add_metric([source.engine], source.last.size_bytes)
                rejected.add_metric([source.engine], source.last.rejected_lines)
        yield from (up, age, duration, size, rejected, failures, versions)
