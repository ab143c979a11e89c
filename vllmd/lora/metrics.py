"""The LoRA adapters: wanted, loaded, failed, by adapter; bounded by what is wanted."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.lora.adapter_status import AdapterCondition, AdapterStatus

LABELS = ["vllmd_engine", "adapter"]

Figures = Callable[[], Mapping[str, Sequence[AdapterStatus]]]


class AdaptersCollector:
    """How each adapter stands. Requests, tokens and latency by adapter are those of its spans."""

    name = "adapters"

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield nothing where no engine has adapters."""
        figures = self._figures()
        if not figures:
            return
        info = GaugeMetricFamily(
            "vllmd_lora_adapter_info",
            "Always 1 for an adapter that is wanted; the labels say who wants it, and where it is.",
            labels=[*LABELS, "source", "path"],
        )
        loaded = GaugeMetricFamily(
            "vllmd_lora_adapter_loaded",
            "Whether an adapter that is wanted is loaded.",
            labels=LABELS,
        )
        stale = GaugeMetricFamily(
            "vllmd_lora_adapter_stale",
            "Whether an adapter's files have changed since they were loaded.",
            labels=LABELS,
        )
        errors = CounterMetricFamily(
            "vllmd_lora_load_errors_total",
            "Tries to load an adapter that failed, before vLLM was asked or by its answer.",
            labels=LABELS,
        )
        changed = GaugeMetricFamily(
            "vllmd_lora_last_change_timestamp_seconds",
            "When an adapter was last loaded, or last failed to be, Unix time.",
            labels=LABELS,
        )
        took = GaugeMetricFamily(
            "vllmd_lora_load_duration_seconds",
            "How long an adapter's last load took, in seconds.",
            labels=LABELS,
        )
        unlisted = GaugeMetricFamily(
            "vllmd_lora_unlisted_adapters",
            "Adapters that the engine has loaded and that are not configured.",
            labels=LABELS[:1],
        )
        for engine, statuses in figures.items():
            others = [each for each in statuses if each.condition is AdapterCondition.UNLISTED]
            unlisted.add_metric([engine], len(others))
            for each in statuses:
                if each.condition is AdapterCondition.UNLISTED:
                    continue
                labels = [engine, each.name]
                info.add_metric([*labels, each.source or "", each.path], 1)
                loaded.add_metric(labels, each.condition is AdapterCondition.LOADED)
                stale.add_metric(labels, each.stale)
                errors.add_metric(labels, each.errors)
                if each.changed_at is not None:
                    changed.add_metric(labels, each.changed_at)
                if each.load_duration_s is not None:
                    took.add_metric(labels, each.load_duration_s)
        yield from (info, loaded, stale, errors, changed, took, unlisted)
