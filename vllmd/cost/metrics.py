"""What serving costs: rates, and sums since the daemon began, by engine and what it did."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.cost.snapshot import CostFigures
from vllmd.cost.usage import SECOND_NS, UNATTRIBUTED, Usage

ENGINE, ACTIVITY = "vllmd_engine", "activity"


class CostCollector:
    """GPU time, energy and money; what has no price is left out."""

    name = "cost"

    def __init__(self, figures: Callable[[], CostFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield usage always, money if there are prices."""
        figures = self._figures()
        time = CounterMetricFamily(
            "vllmd_engine_activity_seconds_total",
            "Time of an engine by what it did: busy, idle, down, unwatched.",
            labels=[ENGINE, ACTIVITY],
        )
        gpu = CounterMetricFamily(
            "vllmd_gpu_seconds_total",
            "GPU time of an engine by what it did; a shared GPU is divided by the memory held.",
            labels=[ENGINE, ACTIVITY],
        )
        energy = CounterMetricFamily(
            "vllmd_engine_energy_joules_total",
            "Energy of an engine's part of its GPUs, in joules, by what it did.",
            labels=[ENGINE, ACTIVITY],
        )
        asleep: dict[str, Usage] = {}
        for (engine, activity), usage in sorted(figures.used.items()):
            asleep[engine] = asleep.get(engine, Usage()) + usage
            labels = [engine, str(activity)]
            time.add_metric(labels, usage.duration_ns / SECOND_NS)
            gpu.add_metric(labels, usage.gpu_ns / SECOND_NS)
            energy.add_metric(labels, usage.energy_mj / 1000)
        yield from (time, gpu, energy)
        yield from _asleep(asleep)
        yield from _unattributed(figures)
        if figures.prices.known:
            yield from _money(figures)


def _asleep(used: Mapping[str, Usage]) -> Iterator[Metric]:
    time = CounterMetricFamily(
        "vllmd_engine_asleep_seconds_total", "Time that an engine slept.", labels=[ENGINE]
    )
    freed = CounterMetricFamily(
        "vllmd_gpu_freed_seconds_total",
        "GPU time that an engine gave back while it slept: by the part of the memory it freed.",
        labels=[ENGINE],
    )
    for engine, usage in used.items():
        time.add_metric([engine], usage.asleep_ns / SECOND_NS)
        freed.add_metric([engine], usage.freed_gpu_ns / SECOND_NS)
    yield from (time, freed)


def _unattributed(figures: CostFigures) -> Iterator[Metric]:
    gpu = CounterMetricFamily(
        "vllmd_gpu_unattributed_seconds_total",
        "GPU time of no engine: used by nobody, or by processes that are not of an engine.",
        labels=["user"],
    )
    energy = CounterMetricFamily(
        "vllmd_gpu_unattributed_energy_joules_total",
        "Energy of no engine, in joules: used by nobody, or by processes that are not of one.",
        labels=["user"],
    )
    for name, usage in sorted(figures.unattributed.items()):
        user = UNATTRIBUTED[name]
        gpu.add_metric([user], usage.gpu_ns / SECOND_NS)
        energy.add_metric([user], usage.energy_mj / 1000)
    yield from (gpu, energy)


def _money(figures: CostFigures) -> Iterator[Metric]:
    prices = figures.prices
    rate = GaugeMetricFamily(
        "vllmd_cost_per_hour",
        "What an hour costs at this moment, for GPUs by their price and for their energy.",
        labels=[ENGINE, "currency", "source"],
    )
    cost = CounterMetricFamily(
        "vllmd_cost_total",
        "What was paid since the daemon began, by what the engine did.",
        labels=[ENGINE, "currency", "source", ACTIVITY],
    )
    sources = [("gpu", prices.gpu_hour), ("energy", prices.kwh)]
    priced = [source for source, price in sources if price]
    for engine, amount in sorted(figures.hourly.items()):
        for source in priced:
            labels = [engine, prices.currency, source]
            rate.add_metric(labels, float(getattr(amount, source)))
    for (engine, activity), usage in sorted(figures.used.items()):
        amount = prices.amount(usage)
        for source in priced:
            labels = [engine, prices.currency, source, str(activity)]
            cost.add_metric(labels, float(getattr(amount, source)))
    yield from (rate, cost)
    if figures.budget is not None:
        budget = GaugeMetricFamily(
            "vllmd_cost_budget_per_million_tokens",
            "What a million tokens may cost, by the configuration.",
            labels=["currency"],
        )
        budget.add_metric([prices.currency], figures.budget)
        yield budget
