"""The most requests that were seen running at once since an engine began. Pure."""

from collections.abc import Iterable

from vllmd.scrape.families import Family

PEAK = b"vllmd_requests_running_peak"
_RUNNING = b"vllm:num_requests_running"


class Peaks:
    """The highest value that each rank's page has shown."""

    def __init__(self) -> None:
        self._highest: dict[bytes, float] = {}

    def note(self, families: Iterable[Family]) -> None:
        """Take a page."""
        for family in families:
            if family.name == _RUNNING:
                for sample in family.samples:
                    head, _, value = sample.rpartition(b" ")
                    labels = head[head.index(b"{") :]
                    self._highest[labels] = max(self._highest.get(labels, 0.0), float(value))

    def forget(self) -> None:
        """Begin anew."""
        self._highest.clear()

    def family(self) -> Family:
        """Return what was seen."""
        text = b"The most requests that were seen running at once since the engine began."
        samples = [b"%s%s %r" % (PEAK, labels, peak) for labels, peak in self._highest.items()]
        return Family(PEAK, b"gauge", text, samples)
