"""The judge: every hang is found in time, and nothing that is busy, idle or slow is taken for one.

Engines are simulated here, minute by minute; tests/integration and tests/engine show the same on
running ones.
"""

import functools
import random
from collections.abc import Iterator

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.stalling import LIMITS, POLL_S, Engine
from vllmd.config.model import LivenessConfig
from vllmd.engine.liveness import stall_detector
from vllmd.engine.liveness.hang_watch import HangWatch
from vllmd.engine.liveness.reading import (
    GpuSample,
    GpuTrace,
    PageAnswer,
    ProcessActivity,
    ProcessUse,
    RankProgress,
    Reading,
)
from vllmd.engine.liveness.stall_detector import LoadStallDetector, StallDetector, Verdict
from vllmd.engine.liveness.work_baseline import Least, WorkBaseline
from vllmd.util.units import format_duration


def until_stalled(
    detector: StallDetector, engine: Engine, limit_s: float, **used: float
) -> float | None:
    """Let time pass and nothing else; return after how many seconds it was found, if it was."""
    began = engine.at
    while engine.at - began < limit_s:
        if detector.assess(engine.reading(), engine.activity).verdict is Verdict.STALLED:
            return engine.at - began
        engine.passes(POLL_S, **used)
    return None


def test_judge_idle_busy_and_sleeping_are_named() -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine()
    assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.IDLE
    engine.running = 1
    assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.BUSY
    engine.sleeping = True
    assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.SLEEPING
    engine.answer = PageAnswer.NONE
    assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.SILENT


def test_judge_frozen_core_is_found_within_the_short_limit() -> None:
    engine = Engine(running=2)
    found_s = until_stalled(StallDetector(LIMITS, POLL_S), engine, 1000)
    assert found_s is not None
    assert LIMITS.stall_s <= found_s <= LIMITS.stall_s + 2 * POLL_S


def test_judge_spinning_core_is_found_within_the_long_limit() -> None:
    found_s = until_stalled(StallDetector(LIMITS, POLL_S), Engine(running=2), 1000, cpu=1.0)
    assert found_s is not None
    assert LIMITS.hang_s <= found_s <= LIMITS.hang_s + 2 * POLL_S


def test_judge_busy_api_server_does_not_hide_a_frozen_core() -> None:
    found_s = until_stalled(StallDetector(LIMITS, POLL_S), Engine(running=2), 1000, api_cpu=0.9)
    assert found_s is not None
    assert found_s <= LIMITS.stall_s + 2 * POLL_S


def test_judge_core_that_freezes_after_a_long_step_gets_the_whole_short_limit() -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(running=1)
    assert until_stalled(detector, engine, 300, cpu=1.0) is None
    found_s = until_stalled(detector, engine, 1000)
    assert found_s is not None
    assert LIMITS.stall_s - POLL_S <= found_s <= LIMITS.stall_s + 2 * POLL_S


def test_judge_frozen_api_server_is_found_and_a_loaded_one_has_longer() -> None:
    frozen = until_stalled(StallDetector(LIMITS, POLL_S), Engine(answer=PageAnswer.NONE), 1000)
    loaded = until_stalled(
        StallDetector(LIMITS, POLL_S), Engine(answer=PageAnswer.NONE), 1000, api_cpu=1.0
    )
    assert frozen is not None
    assert loaded is not None
    assert frozen <= LIMITS.stall_s + 2 * POLL_S < LIMITS.hang_s <= loaded


def test_judge_refused_connections_are_not_taken_for_load() -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(answer=PageAnswer.REFUSED)
    found_s = until_stalled(detector, engine, 1000, api_cpu=1.0)
    assert found_s is not None
    assert found_s <= LIMITS.stall_s + 2 * POLL_S
    assert "refuses connections" in detector.assess(engine.reading(), engine.activity).reason


def test_judge_prefill_of_a_very_long_context_is_busy() -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(running=1)
    for _ in range(5):
        assert until_stalled(detector, engine, LIMITS.hang_s - 2 * POLL_S, cpu=1.0) is None
        engine.step()


def judging_by(
    engine: Engine, watts: float, bus: float, limits: LivenessConfig = LIMITS
) -> StallDetector:
    """Return a judge of an engine that has worked at 400 W, and whose GPU shows this now."""
    work = WorkBaseline(full=Least([0.3] * 3, [400.0] * 3), idle_watts=70.0)

    def ask(since: float, until: float) -> tuple[GpuTrace, ...]:
        at = [since + second for second in range(1, int(until - since) + 1)]
        samples = tuple(GpuSample(each, 1.0, bus, watts) for each in at)
        return (GpuTrace("0", since, until, samples, frozenset({10})),)

    return StallDetector(limits, POLL_S, HangWatch(ask, lambda: engine.at, work))


def test_judge_long_limit_does_not_count_while_gpus_are_seen_to_compute() -> None:
    engine = Engine(running=1)
    found_s = until_stalled(judging_by(engine, 690.0, 0.4), engine, 5000, cpu=1.0)
    assert found_s is not None
    assert 6 * LIMITS.hang_s <= found_s <= 6 * LIMITS.hang_s + 2 * POLL_S
    engine = Engine(running=1)
    found_s = until_stalled(judging_by(engine, 690.0, 0.4), engine, 5000)
    assert found_s is not None
    assert found_s >= 6 * LIMITS.hang_s, "nor does the short one, whatever uses the CPU"
    engine = Engine(running=1)
    blind = attrs.evolve(LIMITS, gpu_stall_s=0)
    found_s = until_stalled(judging_by(engine, 161.0, 0.0, blind), engine, 1000, cpu=1.0)
    assert found_s is not None
    assert found_s <= LIMITS.hang_s + 2 * POLL_S


@pytest.mark.parametrize("pid", [10, 20])
def test_judge_process_that_waits_for_a_disk_gets_the_long_limit(pid: int) -> None:
    engine = Engine(running=1)

    def activity() -> ProcessActivity:
        states = {each: "D" if each == pid else "S" for each in (10, 20)}
        processes = tuple(ProcessUse(each, 5, 0.0, 0, state) for each, state in states.items())
        return attrs.evolve(engine.activity(), processes=processes)

    detector = StallDetector(LIMITS, POLL_S)
    while detector.assess(engine.reading(), activity).verdict is not Verdict.STALLED:
        engine.passes(POLL_S)
    assert LIMITS.hang_s <= engine.at <= LIMITS.hang_s + 2 * POLL_S


def test_judge_work_of_a_rank_that_makes_steps_is_none_of_another() -> None:
    engine = Engine()
    detector, steps, found = judging_by(engine, 690.0, 0.4), 0, None
    while found is None and engine.at < 1000:
        engine.passes(POLL_S, cpu=1.0)
        steps += 1
        ranks = {"0": RankProgress(7, 1, 0), "1": RankProgress(steps, 1, 0)}
        reading = Reading(engine.at, PageAnswer.PAGE, ranks)
        verdict = detector.assess(reading, engine.activity)
        found = verdict if verdict.verdict is Verdict.STALLED else None
    assert found is not None
    assert (found.rank, found.cleared_by_work) == ("0", False)
    assert engine.at <= LIMITS.hang_s + 3 * POLL_S


def test_judge_work_clears_a_stalled_rank_but_not_for_ever() -> None:
    engine = Engine(running=1)
    spinning = judging_by(engine, 161.0, 0.0, attrs.evolve(LIMITS, gpu_stall_s=0))
    assert until_stalled(spinning, engine, 1000, cpu=1.0) is not None
    assert spinning.assess(engine.reading(), engine.activity).cleared_by_work
    engine = Engine(running=1)
    computing = judging_by(engine, 690.0, 0.4)
    assert until_stalled(computing, engine, 5000, cpu=1.0) is not None
    assert not computing.assess(engine.reading(), engine.activity).cleared_by_work
    silent = StallDetector(LIMITS, POLL_S)
    engine = Engine(answer=PageAnswer.NONE)
    assert until_stalled(silent, engine, 1000) is not None
    assert not silent.assess(engine.reading(), engine.activity).cleared_by_work


def test_judge_idle_night_is_idle() -> None:
    assert until_stalled(StallDetector(LIMITS, POLL_S), Engine(steps=7), 12 * 3600) is None


def test_judge_one_rank_of_two_that_stands_still_is_a_stall() -> None:
    detector = StallDetector(LIMITS, POLL_S)
    verdicts = []
    for n in range(40):
        ranks = {"0": RankProgress(n, 1, 0), "1": RankProgress(5, 1, 0)}
        reading = Reading(n * POLL_S, PageAnswer.PAGE, ranks)
        verdicts.append(detector.assess(reading, lambda: ProcessActivity(0, 0, 0)))
    assert verdicts[-1].verdict is Verdict.STALLED
    assert "rank 1" in verdicts[-1].reason


def test_judge_time_that_was_not_watched_does_not_count() -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(running=1)
    detector.assess(engine.reading(), engine.activity)
    engine.passes(POLL_S)
    detector.assess(engine.reading(), engine.activity)
    engine.passes(8 * 3600)  # the host slept
    assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.BUSY
    engine.passes(LIMITS.stall_s - 2 * POLL_S)
    assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.BUSY


def test_judge_cpu_that_is_not_known_is_taken_for_work() -> None:
    detector = StallDetector(LIMITS, POLL_S)
    reading = Engine(running=1).reading()
    verdicts = [
        detector.assess(attrs.evolve(reading, at=n * POLL_S), lambda: None).verdict
        for n in range(130)
    ]
    assert Verdict.STALLED not in verdicts[:120]
    assert verdicts[-1] is Verdict.STALLED


def _known(activity: ProcessActivity) -> ProcessActivity:
    return activity


def test_judge_busy_gpu_is_work() -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(running=1)
    for _ in range(100):
        activity = attrs.evolve(engine.activity(), gpu_busy=True)
        verdict = detector.assess(engine.reading(), functools.partial(_known, activity)).verdict
        assert verdict is Verdict.BUSY
        engine.passes(POLL_S)


def healthy(seed: int) -> Iterator[Engine]:
    """Simulate some hours of an engine that works: every pattern that must cause no restart."""
    dice = random.Random(seed)
    engine = Engine()
    while engine.at < 6 * 3600:
        pattern = dice.choice(
            ["idle", "decode", "prefill", "burst", "silent", "sleep", "refusals", "compile"]
        )
        engine.running = engine.waiting = 0
        engine.answer, engine.sleeping = PageAnswer.PAGE, False
        length_s = dice.uniform(5, 1800)
        used = {"cpu": dice.uniform(0.3, 8.0), "api_cpu": dice.uniform(0.06, 1.0)}
        if pattern == "idle":
            used = {"cpu": 0.0, "api_cpu": 0.003}
        elif pattern == "silent":  # scrapes time out under load
            engine.answer, length_s = PageAnswer.NONE, dice.uniform(5, LIMITS.hang_s - 20)
        elif pattern == "sleep":
            engine.sleeping, used = True, {"cpu": 0.0}
        ended = engine.at + length_s
        while engine.at < ended:
            if pattern in ("decode", "burst", "refusals"):
                engine.running = dice.randint(0, 256)
                engine.waiting = dice.randint(0, 9999) if pattern != "decode" else 0
                engine.step(dice.randint(1, 500))
            elif pattern in ("prefill", "compile"):  # steps of up to nine minutes, all of them CPU
                engine.running = 1
                if dice.random() < POLL_S / (LIMITS.hang_s / 4):
                    engine.step()
                if engine.at - engine.stepped_at > LIMITS.hang_s - 3 * POLL_S:
                    engine.step()
            yield engine
            engine.passes(dice.choice([POLL_S, POLL_S, 5.4, 10.0]), **used)
        engine.step()
        engine.answer = PageAnswer.PAGE
        yield engine


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_judge_randomised_hours_of_busy_and_idle_have_no_false_stall(seed: int) -> None:
    detector = StallDetector(LIMITS, POLL_S)
    for engine in healthy(seed):
        assessment = detector.assess(engine.reading(), engine.activity)
        assert assessment.verdict is not Verdict.STALLED, assessment.reason


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2000), st.booleans())
def test_judge_hang_after_any_history_is_found_in_time(seed: int, after: int, spins: bool) -> None:
    detector = StallDetector(LIMITS, POLL_S)
    engine = Engine()
    for n, each in enumerate(healthy(seed)):
        engine = each
        detector.assess(engine.reading(), engine.activity)
        if n == after:
            break
    engine.answer, engine.sleeping, engine.running = PageAnswer.PAGE, False, 1
    limit_s = LIMITS.hang_s if spins else LIMITS.stall_s
    found_s = until_stalled(detector, engine, 2000, cpu=1.0 if spins else 0.0)
    assert found_s is not None
    assert found_s <= limit_s + 3 * POLL_S


def test_judges_looks_at_the_same_time_are_no_time() -> None:
    load, still = LoadStallDetector(100, POLL_S), ProcessActivity(1.0, 1.0, 1)
    assert {load.assess(7.0, spoke=False, activity=still) for _ in range(200)} == {None}
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(running=1)
    verdicts = {detector.assess(engine.reading(), engine.activity).verdict for _ in range(200)}
    assert verdicts == {Verdict.BUSY}


def test_judge_engine_that_slept_is_suspected_anew() -> None:
    detector = StallDetector(LIMITS, POLL_S)
    engine = Engine(steps=5, running=1)
    verdicts = []
    for sleeping in (*[False] * 20, True, *[False] * 20):
        engine.sleeping = sleeping
        verdicts.append(
            detector.assess(engine.reading(), lambda: ProcessActivity(0.0, 0.0, 0)).verdict
        )
        engine.at += POLL_S
    assert Verdict.SLEEPING in verdicts
    assert Verdict.STALLED not in verdicts  # 100 s before, and 100 s after


@pytest.mark.parametrize(("cpu", "limit_s"), [(0.0, LIMITS.stall_s), (1.0, LIMITS.hang_s)])
def test_judge_is_over_at_its_limit_and_says_for_how_long(cpu: float, limit_s: float) -> None:
    detector, engine = StallDetector(LIMITS, POLL_S), Engine(running=1)
    engine.step()
    assert until_stalled(detector, engine, 100, cpu=1.0) is None  # a step takes long, and is done
    engine.step()
    detector.assess(engine.reading(), engine.activity)
    for _ in range(int(limit_s / POLL_S)):
        assert detector.assess(engine.reading(), engine.activity).verdict is Verdict.BUSY
        engine.passes(POLL_S, cpu=cpu)
    found = detector.assess(engine.reading(), engine.activity)
    assert found.verdict is Verdict.STALLED
    assert f"for {format_duration(limit_s)}, while" in found.reason


def test_worked_one_tick_of_the_kernels_clock_between_two_quick_looks_is_no_work() -> None:
    """CPU time comes in steps of 10 ms."""
    before, now = ProcessActivity(1.0, 1.0, 0, at=5.0), ProcessActivity(1.0, 1.01, 0, at=5.1)
    assert not stall_detector._worked(before, now, 0.1)
    assert stall_detector._worked(before, attrs.evolve(now, core_cpu_s=1.1), 0.1)
