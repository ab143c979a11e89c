import pytest

from vllmd.engine.liveness.reading import GpuSample, GpuTrace
from vllmd.engine.liveness.work_baseline import Least, WorkBaseline


def trace(*shown: tuple[float, float | None, float | None], shared: bool = False) -> GpuTrace:
    samples = tuple(GpuSample(float(n), *each) for n, each in enumerate(shown))
    return GpuTrace("0", 0.0, 5.0, samples, frozenset({1}), shared)


def test_work_is_known_after_three_stretches_and_two_odd_ones_do_not_count() -> None:
    work = WorkBaseline()
    for _ in range(2):
        work.worked([trace((1.0, 0.3, 400.0), (1.0, 0.0, 130.0))])
        assert (work.learned, work.least_bus, work.least_watts) == (False, None, None)
    work.worked([trace((1.0, 0.4, 500.0))])
    assert (work.learned, work.least_bus, work.least_watts) == (True, 0.4, 500.0)
    work.worked([trace((1.0, 0.0, 161.0))])
    work.worked([trace((1.0, 0.0, 161.0))])
    assert (work.least_bus, work.least_watts) == (0.3, 400.0)
    work.worked([trace((1.0, 0.0, 161.0))])
    assert (work.least_bus, work.least_watts) == (0.0, 161.0), "that is how it works"


@pytest.mark.parametrize(
    "useless",
    [trace((0.2, 0.3, 400.0)), trace((1.0, None, None)), trace((1.0, 0.3, 400.0), shared=True)],
)
def test_work_is_learned_only_at_use_of_a_gpu_of_its_own(useless: GpuTrace) -> None:
    work = WorkBaseline()
    for _ in range(3):
        work.worked([useless])
    assert not work.learned


def test_work_with_pauses_counts_only_until_full_use_was_seen() -> None:
    work = WorkBaseline()
    for _ in range(3):
        work.worked([trace((0.6, 0.1, 250.0), (0.1, 0.0, 130.0))])
    assert (work.learned, work.least_bus, work.least_watts) == (True, 0.1, 250.0)
    for _ in range(3):
        work.worked([trace((1.0, 0.4, 500.0), (0.6, 0.0, 130.0))])
    assert (work.least_bus, work.least_watts) == (0.4, 500.0)


def test_work_longest_step_and_lowest_idle_power_are_kept() -> None:
    work = WorkBaseline()
    for seconds, still_s in ((2.0, 1.0), (9.0, 0.0), (3.0, 2.0)):
        work.stepped(seconds, still_s)
    work.seen([trace((0.0, 0.0, 121.0), (0.0, 0.0, 119.0), (1.0, 0.0, 60.0))])
    work.seen([trace((0.0, 0.0, 125.0), (0.0, 0.0, None))])
    assert (work.longest_step_s, work.longest_still_s, work.idle_watts) == (9.0, 2.0, 119.0)


def test_work_that_seemed_still_for_minutes_counts_as_one() -> None:
    work = WorkBaseline()
    work.stepped(150.0, 145.0)
    assert (work.longest_step_s, work.longest_still_s) == (150.0, 60.0)
    kept = {**work.to_json(), "longest_still_s": 145.0}
    assert WorkBaseline.from_json(kept).longest_still_s == 60.0


def test_work_survives_as_json() -> None:
    some, more = Least([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]), Least([0.1], [1.0])
    for work in (WorkBaseline(), WorkBaseline(3.0, 1.0, some, more, 120.0)):
        assert WorkBaseline.from_json(work.to_json()) == work
    with pytest.raises(KeyError):
        WorkBaseline.from_json({})


@pytest.mark.parametrize(
    ("work", "seen"),
    [
        (WorkBaseline(), False),
        (WorkBaseline(longest_step_s=5.0), False),
        (WorkBaseline(full=Least([0.3], [400.0])), True),
        (WorkBaseline(part=Least([0.3], [400.0])), True),
        (WorkBaseline(idle_watts=0.0), True),
    ],
)
def test_on_gpus_tells_whether_memory_of_one_was_seen(work: WorkBaseline, seen: bool) -> None:
    assert work.on_gpus is seen
