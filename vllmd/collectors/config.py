"""Whether the daemon runs with the configuration that the file now has."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric


class ConfigCollector:
    """`vllmd_config_last_load_successful`: 0 while the file cannot be used."""

    name = "config"

    def __init__(self, successful: bool) -> None:
        self._successful = successful

    def collect(self) -> Iterator[Metric]:
        """Yield whether the last reading of the file was good."""
        yield GaugeMetricFamily(
            "vllmd_config_last_load_successful",
            "Whether the configuration file could be used when it was last read.",
            value=self._successful,
        )
