import pytest

from vllmd.engine.liveness.reading import GpuSample
from vllmd.gpu.recent_samples import KEPT_S, THROTTLED, RecentSamples
from vllmd.gpu.rows import ROWS


def test_samples_are_those_after_a_time_as_far_as_they_are_known() -> None:
    samples = RecentSamples()
    whole = {"busy_ratio": 1.0, "memory_bus_busy_ratio": 0.3, "power_watts": 700.0}
    samples.take(1.0, {"a": whole, "b": {}})
    samples.take(2.0, {"a": {**whole, THROTTLED[0]: 1.0}})
    throttled = GpuSample(2.0, 1.0, 0.3, 700.0, throttled=True)
    assert samples.since("a", 0.0) == (GpuSample(1.0, 1.0, 0.3, 700.0), throttled)
    assert samples.since("a", 1.0) == (throttled,)
    assert samples.since("b", 0.0) == (GpuSample(1.0, None, None, None),)
    assert samples.since("c", 0.0) == ()
    samples.forget()
    assert samples.since("a", 0.0) == ()


def test_samples_are_kept_for_a_while() -> None:
    samples = RecentSamples()
    for at in range(300):
        samples.take(float(at), {"a": {}})
    assert len(samples.since("a", 0.0)) == KEPT_S + 1


@pytest.mark.parametrize("key", [*THROTTLED, "busy_ratio", "memory_bus_busy_ratio", "power_watts"])
def test_samples_names_are_rows(key: str) -> None:
    assert key in {row.key for row in ROWS}
