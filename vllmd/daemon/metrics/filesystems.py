"""How much room is left where vllmd writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from vllmd.status.filesystems import look

ROLE = "role"


class FilesystemsCollector:
    """Size and room of the file system of each of vllmd's own folders."""

    name = "filesystems"

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Take the folders by what they are for."""
        self._folders = folders

    def collect(self) -> Iterator[Metric]:
        """Yield bytes; a folder that is not there is left out."""
        size = GaugeMetricFamily(
            "vllmd_filesystem_size_bytes",
            "Size of the file system with a folder of vllmd, in bytes.",
            labels=[ROLE],
        )
        avail = GaugeMetricFamily(
            "vllmd_filesystem_avail_bytes",
            "What vllmd may still write there, in bytes; what is reserved for root is not in it.",
            labels=[ROLE],
        )
        for found in look(self._folders):
            size.add_metric([found.role], found.size_bytes)
            avail.add_metric([found.role], found.avail_bytes)
        yield from (size, avail)
