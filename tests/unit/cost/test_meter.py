"""Sums by the hour: exact, over resets, restarts, other daemons and gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.metered import HOUR, Host
from vllmd.cost.meter import GpuUse, Meter, Sample, divide, split
from vllmd.cost.usage import (
    HOUR_NS,
    NOBODY,
    OTHERS,
    SECOND_NS,
    Activity,
    Counters,
    HourUsage,
    Usage,
    total,
)


def test_time_goes_to_what_the_engine_did() -> None:
    host = Host().look()
    host.pass_s(5).look("busy").pass_s(7).look("idle").pass_s(2).look("down", run=False)
    assert host.of("busy") == Usage(5 * SECOND_NS, 5 * SECOND_NS)
    assert host.of("idle") == Usage(7 * SECOND_NS, 7 * SECOND_NS)
    assert host.of("down") == Usage(2 * SECOND_NS, 2 * SECOND_NS)


def test_time_is_divided_at_the_full_hour() -> None:
    host = Host(at_s=3598).look().pass_s(5).look("idle")
    assert host.of("idle").duration_ns == 2 * SECOND_NS
    assert host.of("idle", HOUR + 3600).duration_ns == 3 * SECOND_NS


def test_a_shared_gpu_is_divided_by_the_memory_held() -> None:
    host = Host(held={"chat": 60, "other": 20, OTHERS: 20})
    host.look_at({"chat": Sample(Activity.BUSY), "other": Sample(Activity.IDLE)})
    host.pass_s(10).look_at({"chat": Sample(Activity.BUSY), "other": Sample(Activity.IDLE)})
    assert host.of("busy") == Usage(10 * SECOND_NS, 6 * SECOND_NS)
    assert host.of("idle", engine="other") == Usage(10 * SECOND_NS, 2 * SECOND_NS)
    assert host.of("busy", engine=OTHERS) == Usage(0, 2 * SECOND_NS)


def test_an_engine_that_sleeps_gives_gpu_time_back_by_the_memory_that_it_freed() -> None:
    host = Host(held={"chat": 2, NOBODY: 98})
    host.freed = {"chat": 900_000}
    asleep = Sample(Activity.IDLE, host.run, host.started, asleep=True)
    host.look_at({"chat": asleep})
    host.pass_s(50).look_at({"chat": asleep})
    found = host.of("idle")
    assert (found.asleep_ns, found.freed_gpu_ns) == (50 * SECOND_NS, 45 * SECOND_NS)
    assert found.gpu_ns == SECOND_NS


def test_a_gpu_that_nobody_uses_is_said() -> None:
    host = Host(held={NOBODY: 1})
    host.energy_mj = 0
    host.look("down", run=False).pass_s(10)
    host.energy_mj = 700
    host.look("down", run=False)
    assert host.of("idle", engine=NOBODY) == Usage(0, 10 * SECOND_NS, 700)
    assert host.of("down") == Usage(10 * SECOND_NS)


def test_time_of_a_gpu_in_instances_is_theirs() -> None:
    host, energy = Host(), iter((0, 50))
    for seconds in (0, 4):
        host.pass_s(seconds)
        sample = {"chat": Sample(Activity.BUSY)}
        whole = GpuUse({"chat": 1}, energy_mj=next(energy), timed=False)
        gpus = {"GPU-1": whole, "MIG-1": GpuUse({"chat": 1})}
        host.meter.look(host.now, host.mono, sample, gpus)
    assert host.of("busy") == Usage(4 * SECOND_NS, 4 * SECOND_NS, 50)


def test_an_engine_that_counted_tokens_was_busy_between_two_looks() -> None:
    host = Host().look().count(0).pass_s(5).count(100, 50).look("idle")
    assert host.of("busy") == Usage(5 * SECOND_NS, 5 * SECOND_NS, 0, 100, 0, 50, 0)
    assert host.of("idle") == Usage()


def test_tokens_are_counted_over_restarts_of_the_engine() -> None:
    host = Host().look().count(100, 10).pass_s(5).look()
    host.restart().count(30, 3).count(40, 4).pass_s(5).look()
    assert (host.all.prompt_tokens, host.all.generation_tokens) == (140, 14)


def test_a_counter_that_falls_within_a_run_began_anew() -> None:
    host = Host().look().count(100).count(30).count(35).look()
    assert host.all.prompt_tokens == 135


def test_what_ran_before_anybody_counted_is_not_known() -> None:
    host = Host()
    host.started -= 60 * SECOND_NS
    host.look().count(1000).count(1010).look()
    assert host.all.prompt_tokens == 10


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["look", "look", "look", "die", "die_unknown", "restart", "gone", "step", "other"]
        ),
        st.integers(0, 6 * 3600),
        st.integers(-7200, 7200),
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.long
@given(EVENTS)
def test_no_more_time_is_booked_than_passed_and_no_energy_is_lost(
    events: list[tuple[str, int, int]],
) -> None:
    """Days of daemons that are killed, clocks that are set, and engines that come and go."""
    host, began, there, energy = Host(held={"chat": 3, "other": 1}), 0, True, 0
    host.energy_mj, host.power_mw = 0, 100_000
    began = host.mono
    engines: dict[str, Sample | None] = {}

    def look(complete: bool = True) -> None:
        nonlocal engines
        sample = Sample(Activity.IDLE, host.run if there else None, host.started)
        engines = {"chat": sample if complete else None, **extra}
        host.look_at(engines, complete)

    extra: dict[str, Sample | None] = {}
    look()
    for what, seconds, step in events:
        host.pass_s(seconds)
        energy += seconds * 100_000
        host.energy_mj = energy
        if what == "die":
            host.another_daemon(after_s=seconds % 50)
        elif what == "die_unknown":
            host.another_daemon(after_s=seconds % 7)
            look(complete=False)
            host.another_daemon(after_s=1)
        elif what == "restart":
            host.restart()
        elif what == "gone":
            there = not there
        elif what == "step":
            host.now += step * SECOND_NS
        elif what == "other":
            extra = {} if extra else {"other": Sample(Activity.DOWN)}
        look()
    host.pass_s(1).look_at({"chat": Sample(Activity.IDLE, host.run, host.started)})
    energy += 100_000
    host.energy_mj = energy
    host.pass_s(1).look_at({"chat": Sample(Activity.IDLE, host.run, host.started)})
    passed = host.mono - began
    slots = host.meter.slots
    for engine in ("chat", "other"):
        assert total(u for s, u in slots.items() if s.engine == engine).duration_ns <= passed
    assert total(slots.values()).gpu_ns <= passed
    assert total(slots.values()).energy_mj == energy


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6),
            st.sampled_from(["count", "restart", "daemon", "look"]),
            st.floats(0, 50),
        ),
        max_size=40,
    )
)
def test_no_token_is_lost_or_counted_twice(steps: list[tuple[int, str, float]]) -> None:
    host, truth, counted = Host().look(), 0, 0
    for tokens, what, seconds in steps:
        host.pass_s(seconds)
        if what == "restart":
            counted = 0
            host.restart()
        elif what == "daemon":
            host.look().another_daemon(after_s=seconds)
        elif what == "look":
            host.look("idle")
        truth, counted = truth + tokens, counted + tokens
        host.count(counted)
    host.look()
    assert host.all.prompt_tokens == truth


@given(st.integers(0, 10 * HOUR_NS), st.integers(0, 10 * HOUR_NS))
def test_split_loses_no_nanosecond(begin: int, length: int) -> None:
    parts = list(split(begin, begin + length))
    assert sum(part for _, part in parts) == length
    assert all(0 < part <= HOUR_NS for _, part in parts)
    assert len({hour for hour, _ in parts}) == len(parts)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_divide_leaves_no_rest(amount: int, weights: list[int]) -> None:
    slots = {HourUsage(i, "chat", Activity.BUSY): weight for i, weight in enumerate(weights)}
    parts = list(divide(amount, slots))
    assert sum(part for _, part in parts) == amount
    assert all(part >= 0 for _, part in parts)


def test_forget_before_drops_what_is_written_down() -> None:
    host = Host().look().pass_s(3600 * 2).look("down", run=False)
    assert {slot.hour for slot in host.meter.slots} == {HOUR, HOUR + 3600}
    host.meter.forget_before(HOUR + 3600)
    assert {slot.hour for slot in host.meter.slots} == {HOUR + 3600}


@pytest.mark.parametrize("state", [{}, {"at_ns": "x"}, {"at_ns": 1, "engines": [1]}])
def test_resume_of_something_else_is_an_error(state: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        Meter(0, 0).resume(state)


def tokens(host: Host) -> int:
    return total(host.meter.slots.values()).prompt_tokens


def test_what_vllmd_itself_asked_is_nobodys() -> None:
    host = Host().look()
    host.count(100).pass_s(5).look()
    host.meter.asked("chat", host.run, Counters(20, 0, 5, 1))
    host.count(150, 5).pass_s(5).look()
    assert tokens(host) == 130
    host.count(160, 5).pass_s(5).look()
    assert tokens(host) == 140, "once"


def test_page_that_shows_it_later_or_in_parts_takes_no_more_off() -> None:
    host = Host().look()
    for _ in range(2):
        host.meter.asked("chat", host.run, Counters(20, 0, 5, 1))
    host.count(30, 5).pass_s(5).look()
    assert tokens(host) == 0
    host.count(60, 15).pass_s(5).look()
    assert tokens(host) == 20


def test_what_was_asked_of_a_run_that_ended_is_forgotten() -> None:
    host = Host().look()
    host.meter.asked("chat", host.run, Counters(20, 0, 5, 1))
    host.restart().count(100).pass_s(5).look()
    assert tokens(host) == 100
