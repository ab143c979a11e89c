import tracemalloc
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.samples import Exemplar

from vllmd.http import exposition
from vllmd.http.exposition import EOF, FamilyEncoder

TEXT = st.text(st.sampled_from('ab \\"\n{},= é'), max_size=4)
VALUE = st.one_of(st.floats(), st.integers(-(10**20), 10**20), st.booleans())
SAMPLES = st.lists(st.tuples(TEXT, TEXT, VALUE), max_size=5)


class One:
    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def collect(self) -> list[Metric]:
        return [self.metric]


def by_library(metric: Metric, openmetrics: bool) -> bytes:
    generate = generate_openmetrics if openmetrics else generate_latest
    return generate(One(metric)).removesuffix(EOF)


def counter() -> Metric:
    family = CounterMetricFamily("vllmd_x_total", "How often.", labels=["a"])
    family.add_metric(["1"], 3, created=1.5)
    family.add_metric(["2"], 1e21)
    return family


def histogram() -> Metric:
    buckets = [("0.5", 1.0, Exemplar({"trace": "x"}, 0.3)), ("+Inf", 2.0)]
    family = HistogramMetricFamily("vllmd_h_seconds", "Time.", labels=["a"])
    family.add_metric(["1"], [("0.5", 1.0), ("+Inf", 2.0)], 3.25)
    family.add_metric(["2"], buckets, 3.25)  # type: ignore[arg-type]
    return family


def timed() -> Metric:
    family = GaugeMetricFamily("vllmd_t", "With a time.", labels=["a"])
    family.add_metric(["1"], 3, timestamp=1_795_000_000.5)
    return family


MADE: list[Callable[[], Metric]] = [
    counter,
    histogram,
    timed,
    lambda: GaugeMetricFamily("vllmd_g", 'Says "this"\nand \\ that.', value=float("nan")),
    lambda: GaugeMetricFamily("vllmd_b_bytes", "Bytes.", value=2**40, unit="bytes"),
    lambda: InfoMetricFamily("vllmd_i", "What.", value={"b": "x", "a": "y"}),
    lambda: StateSetMetricFamily("vllmd_s", "State.", value={"up": True, "down": False}),
    lambda: SummaryMetricFamily("vllmd_sum", "Sum.", count_value=3, sum_value=0.1),
    lambda: UnknownMetricFamily("vllmd_u", "Odd.", value=-0.0),
    lambda: GaugeHistogramMetricFamily("vllmd_gh", "H.", buckets=[("+Inf", 2.0)], gsum_value=1),
    lambda: GaugeMetricFamily("vllmd_empty", "None.", labels=["a"]),
]


@pytest.mark.parametrize("openmetrics", [True, False])
@pytest.mark.parametrize("make", MADE)
def test_encode_writes_what_the_library_writes_each_time(
    make: Callable[[], Metric], openmetrics: bool
) -> None:
    encoder = FamilyEncoder(openmetrics=openmetrics)
    for _ in range(2):
        assert encoder.encode(make()) == by_library(make(), openmetrics)


@pytest.mark.long
@pytest.mark.parametrize("openmetrics", [True, False])
@given(st.lists(SAMPLES, max_size=4))
def test_encode_of_any_labels_and_values_is_the_librarys(
    openmetrics: bool, pages: list[list[tuple[str, str, float]]]
) -> None:
    encoder = FamilyEncoder(openmetrics=openmetrics)
    for samples in pages:
        family = GaugeMetricFamily("vllmd_x", "Help.", labels=["b", "a"])
        for first, second, value in samples:
            family.add_metric([first, second], value + 0.0)  # no -0.0
        assert encoder.encode(family) == by_library(family, openmetrics)


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MAX_KEPT", 5)
    encoder = FamilyEncoder(openmetrics=False)
    for number in range(30):
        family = GaugeMetricFamily(f"vllmd_{number}", "Help.", labels=["a"])
        family.add_metric([str(number)], number)
        assert encoder.encode(family) == by_library(family, openmetrics=False)
        assert max(len(encoder._about), len(encoder._heads), len(encoder._last)) <= 5


def test_labels_that_come_and_go_are_not_kept() -> None:
    """Found by a soak: each run of an engine has labels of its own, and 20,000 were kept."""
    encoder = FamilyEncoder(openmetrics=True)

    def page(number: int) -> bytes:
        family = GaugeMetricFamily("a", "A.", labels=["run"])
        for run in (number, number + 1):
            family.add_metric([f"run-{run}-{'x' * 100}"], number)
        return encoder.encode(family)

    page(0)
    tracemalloc.start()
    try:
        for number in range(1, 1000):
            assert page(number).count(b"\n") == 4
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 20_000


def test_encode_of_samples_as_before_writes_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FamilyEncoder(openmetrics=False)
    written = encoder.encode(histogram())
    monkeypatch.setattr(encoder, "_write", lambda *_: b"again")
    assert encoder.encode(histogram()) is written
    changed = histogram()
    changed.samples[0] = changed.samples[0]._replace(value=7.0)
    assert encoder.encode(changed) == b"again"
