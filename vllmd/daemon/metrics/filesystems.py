"""How much room is left where vllmd writes."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from vllmd.status.filesystems import Filesystems
from vllmd.util.clock import Clock

ROLE = "role"


class FilesystemsCollector:
    """Size and room of the file system of each of vllmd's own folders, and whether it answers."""

    name = "filesystems"

    def __init__(self, filesystems: Filesystems, clock: Clock) -> None:
        """Take what looks at the folders."""
        self._filesystems = filesystems
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield bytes, as they were seen last; a folder that is not there is left out."""
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
        silent = GaugeMetricFamily(
            "vllmd_filesystem_silent_seconds",
            "For how long a folder of vllmd has not answered; its size and room are of before. "
            "0 while it answers.",
            labels=[ROLE],
        )
        for found in self._filesystems.known():
            size.add_metric([found.role], found.size_bytes)
            avail.add_metric([found.role], found.avail_bytes)
        for role, since in self._filesystems.silent_since().items():
            value = 0.0 if since is None else max(0.0, self._clock.time() - since)
            silent.add_metric([role], value)
        yield from (size, avail, silent)
