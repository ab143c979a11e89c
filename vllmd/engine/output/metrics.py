"""The engines' output: how much was printed, how much is kept, whether any of it is lost."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.engine.metrics import LABEL
from vllmd.engine.output.engine_output import OutputFigures

Figures = Callable[[], Iterable[OutputFigures]]
NotCopied = Callable[[], Mapping[str, Mapping[str, int]]]
_TAKERS = {"journal": "journald", "stdout": "standard output"}


class LogsCollector:
    """What the logs hold, and what they lost."""

    name = "logs"

    def __init__(self, figures: Figures, not_copied: NotCopied) -> None:
        self._figures = figures
        self._not_copied = not_copied

    def collect(self) -> Iterator[Metric]:
        """Yield one family after another, each with all engines."""
        lines = _counter("lines", "Lines that the engine printed since the daemon began.", "level")
        size = _counter("bytes", "Bytes of those lines, as they are in the log.", "level")
        dropped = _counter(
            "dropped_lines", "Lines of this run that are in no log: the disk did not take them."
        )
        lost = _counter("dropped_bytes", "Bytes of the lines that were dropped.")
        cut = _counter(
            "cut_lines", "How often a line of this run was cut because it was longer than 256 KiB."
        )
        rotations = _counter("rotations", "Rotations of the log in this run.")
        used = _gauge("used_bytes", "What the files of the log take on the disk, in bytes.")
        budget = _gauge("budget_bytes", "What they may take at most, in bytes.")
        last = _gauge(
            "last_line_timestamp_seconds",
            "When the newest line was written, in seconds since the epoch.",
        )
        writable = _gauge("writable", "Whether the disk takes the log now.")
        for each in self._figures():
            for level, count in each.lines.items():
                lines.add_metric([each.name, level], count)
                size.add_metric([each.name, level], each.bytes[level])
            for family, value in (
                (dropped, each.dropped_lines),
                (lost, each.dropped_bytes),
                (cut, each.cut_lines),
                (rotations, each.rotations),
                (last, each.last_line_at),
            ):
                if value is not None:
                    family.add_metric([each.name], value)
            used.add_metric([each.name], each.used_bytes)
            budget.add_metric([each.name], each.budget_bytes)
            if each.rotations is not None:
                writable.add_metric([each.name], each.problem is None)
        yield from (lines, size, dropped, lost, cut, rotations, used, budget, last, writable)
        for where, counts in self._not_copied().items():
            copies = _counter(
                f"{where}_dropped_lines",
                f"Lines that {_TAKERS[where]} did not take; the log has them.",
            )
            for name, count in counts.items():
                copies.add_metric([name], count)
            if counts:
                yield copies


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"vllmd_log_{name}_total", text, labels=[LABEL, *labels])


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"vllmd_log_{name}", text, labels=[LABEL])
