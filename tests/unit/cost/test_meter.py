"""Sums by the hour: exact, over resets, restarts, other daemons and gaps."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllmd.cost.meter import GAP_NS, GpuUse, Meter, Sample, divide, split
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

BEGIN = 1_000_000 * 3600 * SECOND_NS
"""The full hour at which these tests begin."""
HOUR = BEGIN // SECOND_NS


class Host:
    """One engine on one GPU, looked at when a test says so."""

    def __init__(self, at_s: float = 0.0, held: Mapping[str, int] | None = None) -> None:
        self.now = BEGIN + int(at_s * SECOND_NS)
        self.mono = 5 * SECOND_NS
        self.meter = Meter(self.now, self.mono)
        self.held: Mapping[str, int] = held or {"chat": 1}
        self.worked: Mapping[str, int] = {}
        self.freed: Mapping[str, int] = {}
        self.energy_mj: int | None = None
        self.power_mw = 0
        self.run, self.started = "run-1", self.now

    def pass_s(self, seconds: float) -> "Host":
        self.now += int(seconds * SECOND_NS)
        self.mono += int(seconds * SECOND_NS)
        return self

    def look(self, activity: str = "busy", run: bool = True, complete: bool = True) -> "Host":
        sample = Sample(Activity(activity), self.run if run else None, self.started)
        self.look_at({"chat": sample if complete else None}, complete)
        return self

    def look_at(self, samples: Mapping[str, Sample | None], complete: bool = True) -> None:
        use = GpuUse(self.held, self.worked, self.energy_mj, self.power_mw, self.freed)
        self.meter.look(self.now, self.mono, samples, {"GPU-1": use}, complete)

    def count(self, prompt: int, generation: int = 0) -> "Host":
        self.meter.count("chat", self.run, self.started, Counters(prompt, 0, generation, 0))
        return self

    def restart(self) -> "Host":
        self.run, self.started = f"{self.run}+", self.now
        return self

    def another_daemon(self, after_s: float, boot: str = "") -> "Host":
        """Die, and be followed by another one."""
        state = json.loads(json.dumps(self.meter.state()))
        self.pass_s(after_s)
        kept = self.meter.slots
        self.meter = Meter(self.now, self.mono, boot)
        self.meter.slots = kept
        self.meter.resume(state)
        return self

    def of(self, activity: str, hour: int = HOUR, engine: str = "chat") -> Usage:
        return self.meter.slots.get(HourUsage(hour, engine, Activity(activity)), Usage())

    @property
    def all(self) -> Usage:
        return total(self.meter.slots.values())


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


def test_another_daemon_goes_on_where_the_last_one_died() -> None:
    host = Host().look().count(100).pass_s(5).look()
    host.another_daemon(after_s=30).look("down", complete=False).pass_s(1)
    host.count(180).look("idle").pass_s(4).look("idle")
    assert host.all.prompt_tokens == 180
    assert host.of("busy").duration_ns == 5 * SECOND_NS
    assert host.of("unwatched") == Usage(31 * SECOND_NS, 31 * SECOND_NS, 0, 80)
    assert host.of("idle").duration_ns == 4 * SECOND_NS


def test_a_run_that_began_while_no_daemon_looked_counts_from_its_start() -> None:
    host = Host().look().count(100).pass_s(5).look()
    host.another_daemon(after_s=30)
    host.run, host.started = "run-2", host.now - 10 * SECOND_NS
    host.count(50).look("idle").pass_s(2).look("idle")
    assert host.all.prompt_tokens == 150
    assert host.of("unwatched").duration_ns == 10 * SECOND_NS  # the 20 s before are not known


def test_a_run_that_is_gone_leaves_its_gap_uncounted() -> None:
    host = Host().look().count(100).pass_s(5).look()
    host.another_daemon(after_s=3600).look("down", run=False)
    host.pass_s(700).look("down", run=False)
    host.restart().count(7).look("idle").pass_s(1).look("idle")
    assert host.all.prompt_tokens == 107
    assert host.of("unwatched") == Usage()


def test_a_daemon_that_dies_before_the_gap_is_closed_leaves_all_of_it() -> None:
    host = Host().look().count(100).pass_s(5).look()
    host.another_daemon(after_s=10).look(complete=False).pass_s(1).look(complete=False)
    host.another_daemon(after_s=10).look("idle").count(120).pass_s(1).look("idle")
    assert host.all.prompt_tokens == 120
    assert host.of("unwatched").duration_ns == 21 * SECOND_NS


def test_daemons_that_die_in_turn_book_each_moment_once() -> None:
    """The case that was seen on a host: what was watched was booked again as unwatched."""
    host = Host().look()
    for _ in range(4):
        for _ in range(14):
            host.pass_s(5).look("idle")
        host.another_daemon(after_s=1).look("idle")
    assert host.of("unwatched").duration_ns == 4 * SECOND_NS
    assert host.of("idle").duration_ns == 4 * 70 * SECOND_NS


def test_a_daemon_that_cannot_learn_who_runs_books_after_a_while_what_it_knows() -> None:
    host = Host().look().pass_s(5).look()
    host.another_daemon(after_s=10).pass_s(GAP_NS / SECOND_NS - 1).look(complete=False)
    assert host.meter.state()["mono_ns"] == host.mono - 10 * SECOND_NS - GAP_NS + SECOND_NS
    host.pass_s(1).look(complete=False)
    assert host.meter.state()["mono_ns"] == host.mono


def test_time_before_a_boot_is_not_counted() -> None:
    host = Host().look().count(100).pass_s(5).look()
    host.energy_mj = 900
    host.look().another_daemon(after_s=100, boot="next").look("idle").pass_s(3)
    host.energy_mj = 950
    host.look("idle")
    assert host.all.duration_ns == 8 * SECOND_NS
    assert host.all.energy_mj == 50


def test_an_engine_that_is_not_known_yet_is_booked_from_when_it_is() -> None:
    host = Host()
    for seconds, known in ((0, False), (5, False), (5, True), (5, True)):
        host.pass_s(seconds).look_at({"chat": Sample(Activity.DOWN) if known else None})
    assert host.all.duration_ns == 5 * SECOND_NS


def test_energy_over_a_gap_goes_to_who_ran_through_it_and_to_nobody() -> None:
    host = Host()
    host.energy_mj, host.power_mw = 0, 100_000
    host.look("idle").another_daemon(after_s=30)
    host.run, host.started = "run-2", host.now - 10 * SECOND_NS
    host.energy_mj = 3_000_000
    host.look("idle")
    assert host.of("unwatched").energy_mj == 1_000_000
    assert host.of("unwatched", engine=NOBODY).energy_mj == 2_000_000


def test_a_host_that_slept_did_not_idle() -> None:
    host = Host().look().pass_s(300).look("idle")
    assert host.of("unwatched").duration_ns == 300 * SECOND_NS


def test_energy_goes_where_the_power_went_while_it_was_not_counted() -> None:
    host = Host()
    host.energy_mj, host.power_mw = 1_000_000, 100_000
    host.look("idle")
    for activity, power in (("idle", 100_000), ("busy", 500_000), ("busy", 400_000)):
        host.power_mw = power
        host.pass_s(5).look(activity)
    host.energy_mj = 1_000_000 + 6_000_001
    host.look("busy")
    assert host.of("idle").energy_mj == 600_000
    assert host.of("busy").energy_mj == 5_400_001
    host.energy_mj = 50  # the driver was loaded again
    host.pass_s(5).look("busy")
    assert host.all.energy_mj == 6_000_051


def test_energy_beyond_that_without_work_goes_to_who_works() -> None:
    host = Host(held={"chat": 50, "other": 50})
    both = {"chat": Sample(Activity.BUSY), "other": Sample(Activity.IDLE)}
    host.energy_mj, host.power_mw = 0, 100_000
    host.look_at(both)
    host.power_mw, host.worked = 600_000, {"chat": 50}
    host.pass_s(10).look_at(both)
    host.energy_mj = 6_000_000
    host.look_at(both)
    assert host.of("busy").energy_mj == 5_500_000
    assert host.of("idle", engine="other").energy_mj == 500_000


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
