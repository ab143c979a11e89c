"""Which vllmd this is."""

import platform
from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

import vllmd


class BuildCollector:
    """`vllmd_build_info`, as every exporter has it."""

    name = "build"

    def collect(self) -> Iterator[Metric]:
        """Yield the version of vllmd and of its Python."""
        info = GaugeMetricFamily(
            "vllmd_build_info",
            "Always 1; the labels say which vllmd this is.",
            labels=["version", "python_version"],
        )
        info.add_metric([vllmd.__version__, platform.python_version()], 1)
        yield info
