"""Our own families in the two formats, as `prometheus_client` writes them, for a page every 15 s.

What does not change from page to page is made once and kept: the lines about a family, of a sample
all but its value, and a family whose samples are as before. Its encoders make them, so that not a
byte differs (but for the sign of a zero that was one before).
"""

from collections.abc import Callable

import attrs
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

EOF = b"# EOF\n"
MAX_KEPT = 20_000
"""Families; then they are made anew."""
_APART = ("_created", "_gsum", "_gcount")
"""Samples that the encoders put elsewhere."""

_number: Callable[[float], str] = floatToGoString
_Head = tuple[str, tuple[tuple[str, str], ...]]


@attrs.frozen
class _Only:
    """One family, for prometheus_client's encoders."""

    metric: Metric

    def collect(self) -> list[Metric]:
        """Return it."""
        return [self.metric]


class FamilyEncoder:
    """Writes families in one of the formats, each whole, without the end of a page."""

    def __init__(self, *, openmetrics: bool) -> None:
        generate: Callable[[Collector], bytes] = (
            generate_openmetrics if openmetrics else generate_latest
        )
        self._generate = generate
        self._about: dict[tuple[str, str, str, str], str] = {}
        self._heads: dict[str, dict[_Head, str]] = {}
        """By family, of the samples that it had last: labels come and go with each run."""
        self._last: dict[str, tuple[str, list[Sample], bytes]] = {}

    def encode(self, metric: Metric) -> bytes:
        """Write one family; one that is as before is not written again."""
        samples: list[Sample] = metric.samples
        about = self._about_of(metric)
        known = self._last.get(metric.name)
        if known is not None and known[0] == about and known[1] == samples:
            return known[2]
        if len(self._last) >= MAX_KEPT:
            self._last.clear()
            self._heads.clear()
        written = self._write(metric, about, samples)
        self._last[metric.name] = about, samples, written
        return written

    def _write(self, metric: Metric, about: str, samples: list[Sample]) -> bytes:
        if not all(map(_is_plain, samples)):
            return self._by_library(metric).encode()
        parts, before, heads = [about], self._heads.get(metric.name, {}), dict[_Head, str]()
        for sample in samples:
            key = sample.name, tuple(sample.labels.items())
            heads[key] = head = before.get(key) or self._head_of(metric, sample)
            parts.append(f"{head}{_number(sample.value)}\n")
        self._heads[metric.name] = heads
        return "".join(parts).encode()

    def _about_of(self, metric: Metric) -> str:
        key = metric.name, metric.type, metric.documentation, metric.unit
        about = self._about.get(key)
        if about is None:
            if len(self._about) >= MAX_KEPT:
                self._about.clear()
            about = self._about[key] = self._by_library(_with(metric, []))
        return about

    def _head_of(self, metric: Metric, sample: Sample) -> str:
        written = self._by_library(_with(metric, [sample]))
        line = written.removeprefix(self._about_of(metric))
        return line[: line.rindex(" ") + 1]

    def _by_library(self, metric: Metric) -> str:
        return self._generate(_Only(metric)).removesuffix(EOF).decode()


def _is_plain(sample: Sample) -> bool:
    """Tell whether a sample is a name, labels and a value."""
    return (
        sample.timestamp is None
        and sample.exemplar is None
        and getattr(sample, "native_histogram", None) is None
        and not sample.name.endswith(_APART)
    )


def _with(metric: Metric, samples: list[Sample]) -> Metric:
    made = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    made.samples = samples
    return made
