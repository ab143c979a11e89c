"""What is a sign of a hang, and what is none: a table of what GPUs and processes show."""

import attrs
import pytest

from vllmd.engine.liveness.hang_signs import (
    SPIN_BUS,
    GpuDoes,
    find_sign,
    is_untold,
    proves_work,
    shows_work,
    what_it_does,
)
from vllmd.engine.liveness.reading import GpuSample, GpuTrace, ProcessActivity, ProcessUse
from vllmd.engine.liveness.work_baseline import Least, WorkBaseline

CORE, ONE, TWO, CHILD = 10, 20, 21, 30


def _work(bus: list[float], watts: list[float]) -> WorkBaseline:
    return WorkBaseline(full=Least(bus, watts), idle_watts=120.0)


LEARNED = _work([0.3, 0.33, 0.35], [420.0, 500.0, 690.0])
NEW = WorkBaseline(idle_watts=120.0)
SMALL = _work([0.0, 0.0, 0.01], [150.0, 160.0, 170.0])
SMALL_HOT = _work([0.0, 0.0, 0.01], [290.0, 300.0, 310.0])
NOTHING = WorkBaseline()

SPIN = GpuSample(0.0, 1.0, 0.0, 124.0)
NCCL = GpuSample(0.0, 1.0, 0.0, 161.0)
PREFILL = GpuSample(0.0, 1.0, 0.33, 691.0)
SMALL_DECODE = GpuSample(0.0, 1.0, 0.0, 150.0)
IDLE = GpuSample(0.0, 0.0, 0.0, 120.0)
PEER = GpuSample(0.0, 0.0, 0.0, 129.0)
NO_POWER = GpuSample(0.0, 1.0, 0.0, None)
MIG = GpuSample(0.0, None, None, 300.0)
THROTTLED = GpuSample(0.0, 1.0, 0.0, 124.0, throttled=True)
PAUSES = GpuSample(0.0, 0.6, 0.0, 124.0)


def trace(
    *shown: GpuSample, gpu: str = "0", pids: tuple[int, ...] = (CORE,), shared: bool = False
) -> GpuTrace:
    """Five seconds of a GPU: the samples given, over and over."""
    samples = tuple(attrs.evolve(shown[n % len(shown)], at=n + 1.0) for n in range(5))
    return GpuTrace(gpu, 0.0, 5.0, samples, frozenset(pids), shared)


@pytest.mark.parametrize(
    ("shown", "work", "does"),
    [
        ((SPIN,), LEARNED, GpuDoes.SPINS),
        ((NCCL,), LEARNED, GpuDoes.SPINS),
        ((PREFILL,), LEARNED, GpuDoes.WORKS),
        ((SPIN, SPIN, SPIN, SPIN, PREFILL), LEARNED, GpuDoes.WORKS),
        ((PAUSES,), LEARNED, GpuDoes.WORKS),
        ((IDLE,), LEARNED, GpuDoes.IDLE),
        ((IDLE,), NOTHING, GpuDoes.IDLE),
        ((IDLE, SPIN), LEARNED, GpuDoes.WORKS),
        ((SPIN,), NEW, GpuDoes.SPINS),
        ((NCCL,), NEW, GpuDoes.SPINS),
        ((attrs.evolve(SPIN, watts=180.0),), NEW, GpuDoes.WORKS),
        ((attrs.evolve(SPIN, bus=0.01),), NEW, GpuDoes.WORKS),
        ((SPIN,), NOTHING, GpuDoes.WORKS),
        ((SMALL_DECODE,), SMALL, GpuDoes.WORKS),
        ((SPIN,), SMALL, GpuDoes.WORKS),
        ((SPIN,), SMALL_HOT, GpuDoes.SPINS),
        ((SMALL_DECODE,), SMALL_HOT, GpuDoes.SPINS),
        ((NO_POWER,), LEARNED, GpuDoes.UNKNOWN),
        ((MIG,), LEARNED, GpuDoes.UNKNOWN),
        ((THROTTLED,), LEARNED, GpuDoes.UNKNOWN),
        ((attrs.evolve(PREFILL, throttled=True),), LEARNED, GpuDoes.WORKS),
        ((attrs.evolve(THROTTLED, watts=690.0),), LEARNED, GpuDoes.WORKS),
        ((attrs.evolve(THROTTLED, watts=None),), LEARNED, GpuDoes.UNKNOWN),
        ((THROTTLED, SPIN), LEARNED, GpuDoes.UNKNOWN),
    ],
)
def test_gpu_is_told_by_all_of_its_samples(
    shown: tuple[GpuSample, ...], work: WorkBaseline, does: GpuDoes
) -> None:
    assert what_it_does(trace(*shown), work) is does


def test_gpu_whose_readings_have_a_gap_is_not_known() -> None:
    whole = trace(SPIN)
    early = attrs.evolve(whole, samples=whole.samples[:1])
    late = attrs.evolve(whole, samples=whole.samples[4:])
    none = attrs.evolve(whole, samples=())
    does = [what_it_does(each, LEARNED) for each in (early, late, none)]
    assert does == [GpuDoes.UNKNOWN] * 3
    seldom = attrs.evolve(whole, samples=whole.samples[1:4:2])
    assert what_it_does(seldom, LEARNED) is GpuDoes.SPINS


def used(
    at: float, *, cpu: tuple[int, ...] = (), io: tuple[int, ...] = (), states: str = "SSS"
) -> ProcessActivity:
    """What a core and two workers had used at a time, if those named use all they can."""
    processes = tuple(
        ProcessUse(
            pid,
            CORE if pid != CORE else 5,
            at if pid in cpu else 0.0,
            int(at * 1e6) if pid in io else 0,
            state,
        )
        for pid, state in zip((CORE, ONE, TWO), states, strict=True)
    )
    return ProcessActivity(0.0, 0.0, 0, at=at, processes=processes)


FIRST, SECOND = trace(NCCL, pids=(ONE,)), trace(PEER, gpu="1", pids=(TWO,))
BESIDE, SPINS = attrs.evolve(FIRST, shared=True), trace(SPIN, gpu="1", pids=(TWO,))


@pytest.mark.parametrize(
    ("traces", "how", "work", "sign"),
    [
        # one GPU
        ((trace(SPIN),), {"cpu": (CORE,)}, LEARNED, "GPU 0 is busy at 124 W and 0 % of its memory"),
        ((trace(SPIN),), {}, LEARNED, "as a kernel that spins does"),
        ((trace(IDLE),), {}, NOTHING, "its GPUs are idle and its processes do nothing"),
        ((trace(IDLE),), {"states": "TSS"}, NOTHING, "(stopped by a signal: 10)"),
        ((trace(PREFILL),), {"cpu": (CORE,)}, LEARNED, None),
        ((trace(SMALL_DECODE),), {"cpu": (CORE,)}, SMALL, None),
        ((trace(NO_POWER),), {"cpu": (CORE,)}, LEARNED, None),
        ((trace(MIG),), {"cpu": (CORE,)}, LEARNED, None),
        ((trace(THROTTLED),), {"cpu": (CORE,)}, LEARNED, None),
        ((trace(IDLE),), {"cpu": (CORE,)}, LEARNED, None),  # it compiles
        ((trace(IDLE),), {"io": (CORE,)}, LEARNED, None),  # it loads an adapter
        ((trace(IDLE),), {"states": "DSS"}, LEARNED, None),  # it waits for a disk
        ((trace(IDLE),), {"states": "RSS"}, LEARNED, None),  # it gets no CPU
        ((trace(SPIN, shared=True),), {"cpu": (CORE,)}, LEARNED, None),  # another's kernel
        ((trace(IDLE, shared=True),), {}, LEARNED, "its GPUs are idle"),
        ((), {}, LEARNED, None),
        # two
        ((FIRST, SECOND), {"cpu": (ONE,)}, LEARNED, "while GPU 1 is idle and its process does not"),
        ((FIRST, SECOND), {"cpu": (ONE, CORE), "states": "SRT"}, LEARNED, "by a signal: 21)"),
        ((FIRST, SECOND), {"cpu": (ONE, CORE)}, NEW, "GPU 0 is busy at 161 W"),
        ((attrs.evolve(FIRST, shared=True), SECOND), {"cpu": (ONE,)}, NEW, "GPU 1 is idle"),
        # one rank spins on its own GPU, the other waits on a GPU beside another engine
        ((BESIDE, SPINS), {"cpu": (ONE, TWO)}, LEARNED, "GPU 0, 1 is busy at 161 W"),
        ((BESIDE, SPINS), {"cpu": (TWO,), "io": (ONE,)}, LEARNED, None),  # the one beside it loads
        ((BESIDE, SPINS), {"cpu": (TWO,), "states": "SDR"}, LEARNED, None),
        ((BESIDE, attrs.evolve(SPINS, shared=True)), {"cpu": (ONE, TWO)}, LEARNED, None),
        ((FIRST, SECOND), {"cpu": (ONE, TWO)}, LEARNED, None),  # the peer compiles
        ((FIRST, SECOND), {"io": (TWO,)}, LEARNED, None),  # the peer loads
        ((trace(PREFILL, pids=(ONE,)), SECOND), {"cpu": (ONE,)}, LEARNED, None),  # a stage ahead
        ((trace(IDLE, pids=(ONE,)), SECOND), {"cpu": (CORE,)}, LEARNED, None),  # a grammar
        ((trace(IDLE, pids=(ONE,)), SECOND), {}, LEARNED, "its GPUs are idle"),
        ((FIRST, trace(NCCL, gpu="1", pids=(TWO,))), {"cpu": (ONE, TWO)}, LEARNED, "GPU 0, 1 is"),
    ],
)
def test_sign_is_found_only_where_nothing_can_be_in_the_making(
    traces: tuple[GpuTrace, ...], how: dict[str, tuple[int, ...]], work: WorkBaseline, sign: str
) -> None:
    found = find_sign(traces, used(0.0, **how), used(5.0, **how), work)  # type: ignore[arg-type]
    assert (found is None) == (sign is None)
    assert found is None or sign in found.words


def test_sign_of_a_spinning_kernel_is_sure_once_work_was_seen() -> None:
    before, now = used(0.0, cpu=(CORE,)), used(5.0, cpu=(CORE,))
    learned, new = (find_sign([trace(SPIN)], before, now, work) for work in (LEARNED, NEW))
    assert learned is not None
    assert new is not None
    assert (learned.sure, new.sure) == (True, False)


def test_sign_is_not_sure_where_the_kernel_may_be_of_another_engine() -> None:
    before, now = used(0.0, cpu=(ONE, TWO)), used(5.0, cpu=(ONE, TWO))
    found = find_sign([BESIDE, SPINS], before, now, LEARNED)
    assert found is not None
    assert not found.sure


IDLE_ONE, IDLE_TWO = trace(PEER, pids=(ONE,)), SECOND


@pytest.mark.parametrize(
    ("traces", "states", "sure"),
    [
        ((FIRST, SECOND), "SSS", False),  # the idle one may wait for a server or a lock
        ((FIRST, SECOND), "SST", True),
        ((FIRST, SECOND), "SSt", False),  # a debugger
        ((FIRST, SECOND), "STS", False),
        ((IDLE_ONE, IDLE_TWO), "SSS", False),
        ((IDLE_ONE, IDLE_TWO), "SST", True),
        ((IDLE_ONE, IDLE_TWO), "TSS", True),  # the core, which holds no memory
        ((IDLE_ONE, IDLE_TWO), "tSS", False),
    ],
)
def test_sign_of_an_idle_gpu_is_sure_only_if_its_process_was_stopped(
    traces: tuple[GpuTrace, ...], states: str, sure: bool
) -> None:
    found = find_sign(traces, used(0.0, states=states), used(5.0, states=states), LEARNED)
    assert found is not None
    assert found.sure is sure
    stopped = "(stopped by a signal: " in found.words
    assert stopped == (states not in ("SSS", "STS"))


def test_sign_child_that_begins_is_work() -> None:
    before, now = used(0.0), used(5.0)
    child = ProcessUse(CHILD, CORE, 0.0, 0)
    begun = attrs.evolve(now, processes=(*now.processes, child))
    assert find_sign([trace(IDLE)], before, now, LEARNED) is not None
    assert find_sign([trace(IDLE)], before, begun, LEARNED) is None
    spinning = [trace(SPIN, pids=(ONE,))]
    assert find_sign(spinning, before, now, LEARNED) is not None
    assert find_sign(spinning, before, begun, LEARNED) is None


def test_sign_processes_that_are_not_known_show_nothing() -> None:
    now = used(5.0)
    untold = attrs.evolve(now, processes=())
    assert find_sign([trace(IDLE)], None, now, LEARNED) is None
    assert find_sign([trace(IDLE)], now, None, LEARNED) is None
    assert find_sign([trace(IDLE)], untold, untold, LEARNED) is None


def test_gpus_that_are_not_told_are_neither_work_nor_hang() -> None:
    assert is_untold([trace(MIG), trace(SPIN)], LEARNED)
    assert not is_untold([trace(MIG), trace(PREFILL)], LEARNED)
    assert not is_untold([trace(SPIN)], LEARNED)
    assert shows_work([trace(SPIN), trace(PREFILL)], LEARNED)
    assert not shows_work([trace(SPIN), trace(MIG)], LEARNED)


@pytest.mark.parametrize(
    ("shown", "work", "proves"),
    [
        (trace(PREFILL), LEARNED, True),
        (trace(attrs.evolve(PREFILL, throttled=True)), LEARNED, True),
        (trace(attrs.evolve(SPIN, watts=500.0)), LEARNED, False),  # a wait takes power, too
        (trace(PREFILL, SPIN), LEARNED, True),
        (trace(SPIN, SPIN, SPIN, SPIN, PREFILL), LEARNED, False),
        (trace(SPIN), LEARNED, False),
        (trace(PAUSES), LEARNED, False),
        (trace(IDLE), LEARNED, False),
        (trace(NO_POWER), LEARNED, False),
        (trace(PREFILL, shared=True), LEARNED, False),  # another's work
        (trace(PREFILL), NEW, False),
        (trace(SMALL_DECODE), SMALL, False),  # it is as quiet as spinning
    ],
)
def test_work_is_proven_only_by_what_was_learned_and_no_spinning_shows(
    shown: GpuTrace, work: WorkBaseline, proves: bool
) -> None:
    assert proves_work([trace(SPIN), shown], work) is proves


def test_sign_names_what_the_gpu_shows_at_most() -> None:
    before, now = used(0.0, cpu=(CORE,)), used(5.0, cpu=(CORE,))
    quiet, louder = attrs.evolve(SPIN, bus=0.0), attrs.evolve(SPIN, bus=SPIN_BUS, watts=125.0)
    found = find_sign([trace(quiet, louder)], before, now, LEARNED)
    assert found is not None
    assert "is busy at 125 W and 1 % of its memory bus" in found.words
