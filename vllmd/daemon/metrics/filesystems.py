"""How much room is left where vllmd writes."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

ROLE = "role"


class FilesystemsCollector:
    """Size and room of the file system of each of vllmd's own folders.

    The folder of a model is not among them: it may be on a file server, and one that hangs would
    hang the page.
    """

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
        for role, folder in self._folders.items():
            try:
                found = os.statvfs(folder)
            except OSError:
                continue
            size.add_metric([role], found.f_blocks * found.f_frsize)
            avail.add_metric([role], found.f_bavail * found.f_frsize)
        yield from (size, avail)
