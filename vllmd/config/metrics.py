"""Whether the daemon runs with the configuration that the file now has."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.config.fleet import FleetConfig

LastRead = tuple[bool, float | None]
"""Whether the file could be used when it was last read; when it was last read well."""


class ConfigCollector:
    """The two metrics that Prometheus has of its own configuration, under our name.

    The same of the web configuration, where there is one, and the logins that it asks for.
    """

    name = "config"

    def __init__(
        self,
        last: Callable[[], LastRead],
        web: Callable[[], LastRead | None] = lambda: None,
        logins: Callable[[], Mapping[str, int] | None] = lambda: None,
        fleet: Callable[[], FleetConfig] = FleetConfig,
    ) -> None:
        self._last = last
        self._web = web
        self._logins = logins
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """Yield whether the last reading of the file was good, and when one last was."""
        yield from _last_read("vllmd_config", "configuration file", self._last())
        if (web := self._web()) is not None:
            yield from _last_read("vllmd_web_config", "web configuration", web)
        if (fleet := self._fleet()).name:
            least = GaugeMetricFamily(
                "vllmd_fleet_min_ready",
                "Replicas of an engine that are to stay ready, as configured.",
                labels=["fleet"],
            )
            least.add_metric([fleet.name], fleet.min_ready)
            yield least
        if (logins := self._logins()) is not None:
            counts = CounterMetricFamily(
                "vllmd_web_logins",
                "Logins to the exporter: accepted, wrong, or busy, when too many were waiting.",
                labels=["outcome"],
            )
            for outcome, count in logins.items():
                counts.add_metric([outcome], count)
            yield counts


def _last_read(prefix: str, what: str, last: LastRead) -> Iterator[Metric]:
    good, at = last
    yield GaugeMetricFamily(
        f"{prefix}_last_reload_successful",
        f"Whether the {what} could be used when it was last read.",
        value=good,
    )
    if at is not None:
        yield GaugeMetricFamily(
            f"{prefix}_last_reload_success_timestamp_seconds",
            f"When the {what} was last read and could be used, Unix time.",
            value=at,
        )
