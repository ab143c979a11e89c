"""Whether the daemon runs with the configuration that the file now has."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

LastRead = tuple[bool, float | None]
"""Whether the file could be used when it was last read; when it was last read well."""


class ConfigCollector:
    """The two metrics that Prometheus has of its own configuration, under our name."""

    name = "config"

    def __init__(self, last: Callable[[], LastRead]) -> None:
        self._last = last

    def collect(self) -> Iterator[Metric]:
        """Yield whether the last reading of the file was good, and when one last was."""
        good, at = self._last()
        yield GaugeMetricFamily(
            "vllmd_config_last_reload_successful",
            "Whether the configuration file could be used when it was last read.",
            value=good,
        )
        if at is not None:
            yield GaugeMetricFamily(
                "vllmd_config_last_reload_success_timestamp_seconds",
                "When the configuration file was last read and could be used, Unix time.",
                value=at,
            )
