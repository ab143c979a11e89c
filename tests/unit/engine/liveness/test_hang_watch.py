"""How long nothing is computed until that is a verdict; many engines live in a simulation."""

import attrs
import pytest

from tests.helpers.simulated_gpus import HOUR_S, LIMITS, POLL_S, simulate
from vllmd.config.model import LivenessConfig
from vllmd.engine.liveness.hang_watch import KEEP_S, HangWatch
from vllmd.engine.liveness.reading import GpuSample, GpuTrace, ProcessActivity, ProcessUse
from vllmd.engine.liveness.work_baseline import WorkBaseline

CORE = 10
SPIN = GpuSample(0.0, 1.0, 0.0, 124.0)
WORK = GpuSample(0.0, 1.0, 0.33, 691.0)
IDLE = GpuSample(0.0, 0.0, 0.0, 120.0)
BLIND = GpuSample(0.0, None, None, None)


@attrs.define
class Scene:
    """One engine on one GPU whose step takes long, looked at every five seconds."""

    work: WorkBaseline = attrs.field(factory=WorkBaseline)
    shown: GpuSample | None = SPIN
    limits: LivenessConfig = LIMITS
    now: float = 0.0
    step_s: float = 0.0
    state: str = "S"
    shared: bool = False
    seen_below: bool = True
    """Whether its GPU was seen with less than full use."""
    hang: HangWatch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.hang = HangWatch(self.traces, lambda: self.now, self.work)
        if self.seen_below:
            shown, self.shown, self.now = self.shown, attrs.evolve(IDLE, busy=0.9, bus=None), POLL_S
            self.hang.moves(worked=False)
            self.shown = shown

    def traces(self, since: float, until: float) -> tuple[GpuTrace, ...] | None:
        if self.shown is None:
            return None
        at = [since + second for second in range(1, int(until - since) + 1)]
        samples = tuple(attrs.evolve(self.shown, at=each) for each in at)
        own = GpuTrace("0", since, until, samples, frozenset({CORE}))
        beside = attrs.evolve(own, gpu="1", shared=self.shared)
        return (own, beside)

    def stands(self, cpu: float = 1.0) -> str | None:
        self.now, self.step_s = self.now + POLL_S, self.step_s + POLL_S
        core = ProcessUse(CORE, 5, cpu * self.now, 0, self.state)
        used = ProcessActivity(0.0, core.cpu_s, 0, at=self.now, processes=(core,))
        return self.hang.stands(self.step_s, POLL_S, used, self.limits, POLL_S)

    def found_s(self, within_s: float = 700.0) -> float | None:
        """Stand still; return after how long that was found."""
        began = self.now
        while self.now - began < within_s:
            if self.stands():
                return self.now - began
        return None

    def works(self, seconds: float, shown: GpuSample = WORK) -> None:
        self.shown, self.step_s = shown, 0.0
        for _ in range(int(seconds / POLL_S)):
            self.now += POLL_S
            self.hang.moves(worked=True)


def test_watch_spinning_kernel_is_found_in_time_once_work_was_seen() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s() == LIMITS.gpu_stall_s + POLL_S
    assert "as a kernel that spins does, for 45s" in str(scene.stands())


def test_watch_looks_at_which_another_may_have_computed_beside_it_count_a_third() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown, scene.shared = SPIN, True
    assert scene.found_s() == 3 * LIMITS.gpu_stall_s + POLL_S
    scene = Scene()
    scene.works(30)
    scene.shown, looks = SPIN, 0
    while scene.stands() is None:
        looks += 1
        scene.shared = looks % 3 == 0  # of each three that are counted 5 + 5 + 5/3 seconds
    assert looks * POLL_S == 50.0, "3 * (5 + 5 + 5 / 3) + 5 make 40"


def test_watch_is_slower_where_work_was_not_seen() -> None:
    scene = Scene(WorkBaseline(idle_watts=120.0))
    assert scene.found_s() == 3 * LIMITS.gpu_stall_s + POLL_S
    assert Scene().found_s() is None, "nor the power of an idle GPU"


def test_watch_beginning_of_a_hang_is_not_taken_for_work() -> None:
    work = WorkBaseline()
    for _ in range(3):
        scene = Scene(work)  # another run
        scene.works(40)
        scene.works(5, SPIN)  # a step, and then it hangs
        scene.shown = SPIN
        assert scene.found_s() == LIMITS.gpu_stall_s + POLL_S
    assert work.least_bus == 0.33


def test_watch_waits_longer_after_a_long_step() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = WORK
    assert scene.found_s(within_s=60) is None
    scene.hang.moves(worked=True)
    assert scene.work.longest_step_s == 60
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s() == 60 + 2 * POLL_S


def test_watch_waits_longer_after_a_step_that_looked_so_and_went_on() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s(within_s=30) is None
    scene.works(30)
    assert scene.work.longest_still_s == 25
    scene.shown = SPIN
    assert scene.found_s() == 4 * 25 + POLL_S


def test_watch_alarm_that_was_wrong_is_learned() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s() == LIMITS.gpu_stall_s + POLL_S
    scene.hang.went_on()
    scene.hang.reset()
    assert (scene.work.longest_step_s, scene.work.longest_still_s) == (45, 40)
    scene.step_s = 0.0
    assert scene.found_s() == 4 * 40 + POLL_S


def test_watch_step_in_which_a_process_was_stopped_teaches_nothing() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown, scene.state = IDLE, "T"
    for _ in range(6):
        scene.stands(cpu=0.0)
    scene.state = "S"
    scene.works(30)
    assert (scene.work.longest_step_s, scene.work.longest_still_s) == (0, 0)
    scene.shown = SPIN
    scene.stands()
    scene.works(30)
    assert scene.work.longest_step_s == 5, "but the next one does"


@pytest.mark.parametrize("shown", [WORK, BLIND, None])
def test_watch_readings_that_show_no_hang_are_none(shown: GpuSample | None) -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = shown
    assert scene.found_s() is None


def test_watch_one_look_without_readings_adds_nothing_and_two_begin_anew() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s(within_s=30) is None
    scene.shown = None
    assert scene.stands() is None
    scene.shown = SPIN
    assert scene.found_s() == 15
    scene.hang.reset()
    assert scene.found_s(within_s=30) is None
    scene.shown = BLIND
    assert [scene.stands(), scene.stands()] == [None, None]
    scene.shown = SPIN
    assert scene.found_s() == LIMITS.gpu_stall_s


def test_watch_work_in_between_begins_anew() -> None:
    scene = Scene()
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s(within_s=30) is None
    assert not scene.hang.contradicted()
    scene.shown = WORK
    assert scene.stands() is None
    scene.shown = SPIN
    assert scene.found_s() == LIMITS.gpu_stall_s
    scene.now, scene.shown = scene.now + POLL_S, WORK
    assert scene.hang.contradicted()
    scene.shown = SPIN
    assert scene.found_s() == LIMITS.gpu_stall_s


def test_watch_work_that_is_proven_is_told_of_the_last_look_only() -> None:
    scene = Scene()
    scene.works(30)
    told = []
    for shown in (WORK, SPIN, WORK, BLIND):
        scene.shown = shown
        scene.stands()
        told.append(scene.hang.computes)
    assert told == [True, False, True, False]
    scene.shown = WORK
    scene.stands()
    scene.hang.reset()
    assert not scene.hang.computes


def test_watch_other_verdicts_are_contradicted_by_work_that_is_proven_only() -> None:
    scene, new = Scene(), Scene(WorkBaseline(idle_watts=120.0))
    scene.works(30)
    told = []
    for each in (scene, new):
        each.now, each.shown = each.now + POLL_S, WORK
        told.append(each.hang.contradicted(proven=True))
    assert told == [True, False]


def test_watch_idle_gpu_whose_process_computes_is_work() -> None:
    scene = Scene(shown=IDLE)
    assert scene.found_s() is None
    idle = Scene(shown=IDLE)  # it may wait for a server or a lock, which shows nowhere
    found = [bool(idle.stands(cpu=0.0)) for _ in range(26)]
    assert found == [False] * 24 + [True] * 2
    stopped = Scene(shown=IDLE, state="T")
    assert [bool(stopped.stands(cpu=0.0)) for _ in range(10)] == [False] * 8 + [True] * 2


def test_watch_use_of_a_gpu_that_never_moves_from_its_top_is_no_sign() -> None:
    work = WorkBaseline()
    Scene(work).works(30)
    stuck = Scene(work, seen_below=False)  # another run
    assert stuck.found_s() is None
    stuck.hang.reset()
    stuck.works(5, IDLE)
    stuck.shown = SPIN
    assert stuck.found_s() == LIMITS.gpu_stall_s + POLL_S


def test_watch_zero_turns_it_off() -> None:
    scene = Scene(limits=LivenessConfig(gpu_stall_s=0))
    scene.works(30)
    scene.shown = SPIN
    assert scene.found_s() is None


def test_watch_step_is_worth_a_word_well_above_the_longest() -> None:
    scene = Scene(shown=None)
    told = []
    for _ in range(3):
        scene.stands()
        told.append(scene.hang.no_step_s(POLL_S))
    assert told == [None, 10.0, 15.0]
    scene.hang.moves(worked=True)
    assert scene.hang.no_step_s(POLL_S) is None
    scene.step_s = 0.0
    told = []
    for _ in range(8):
        scene.stands()
        told.append(scene.hang.no_step_s(POLL_S))
    assert told == [None] * 6 + [35.0, 40.0]


def test_watch_what_was_learned_is_kept_seldom_and_only_if_it_is_new() -> None:
    scene = Scene()
    scene.works(30)
    assert not scene.hang.is_to_be_kept(), "not that soon"
    scene.now += KEEP_S
    assert scene.hang.is_to_be_kept()
    scene.now += KEEP_S
    assert not scene.hang.is_to_be_kept()


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_simulated_engines_on_gpus_are_never_blamed_and_no_hang_is_missed(seed: int) -> None:
    found = simulate(seed, engines=40, hours=0.75)
    assert found.engine_s == 30 * HOUR_S
    assert found.long_steps >= 50
    assert (found.stalled, found.missed) == ([], [])
    assert len(found.found_s) >= 10
    assert max(found.found_s) <= 60
