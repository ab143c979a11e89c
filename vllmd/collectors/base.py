"""What a collector is."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.metrics_core import Metric


class Collector(Protocol):
    """Turns what is known into metric families; it never waits and never asks anybody."""

    @property
    def name(self) -> str:
        """The value of the label `collector` on the runner's own metrics."""
        ...

    def collect(self) -> Iterable[Metric]:
        """Return the families; what is not known is left out, not zero."""
        ...
