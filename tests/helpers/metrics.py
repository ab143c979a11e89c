"""Families as a dictionary, for comparing."""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric


def values(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return values by (sample name, label values …), labels in the order of their names."""
    return {
        (sample.name, *(sample.labels[k] for k in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }
