"""Sums by the hour: exact, over resets, restarts, other daemons and gaps."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllmd.cost.meter import GAP_NS, GpuPower, Meter, Sample, divide, split
from vllmd.cost.usage import HOUR_NS, SECOND_NS, Activity, Counters, HourUsage, Usage, total

BEGIN = 1_000_000 * 3600 * SECOND_NS
"""The full hour at which these tests begin."""
HOUR = BEGIN // SECOND_NS


class Host:
    """One engine on one GPU, looked at when a test says so."""

    def __init__(self, at_s: float = 0.0, shared: int = 1) -> None:
        self.now = BEGIN + int(at_s * SECOND_NS)
        self.meter = Meter(self.now)
        self.gpus: Mapping[str, int] = {"GPU-1": shared}
        self.energy_mj: int | None = None
        self.power_mw = 0
        self.run, self.started = "run-1", self.now

    def pass_s(self, seconds: float) -> "Host":
        self.now += int(seconds * SECOND_NS)
        return self

    def look(self, activity: str = "busy", run: bool = True) -> "Host":
        sample = Sample(Activity(activity), self.run if run else None, self.started, self.gpus)
        gpu = GpuPower(self.energy_mj, self.power_mw)
        self.meter.look(self.now, self.now, {"chat": sample}, {"GPU-1": gpu})
        return self

    def count(self, prompt: int, generation: int = 0) -> "Host":
        self.meter.count("chat", self.run, self.started, Counters(prompt, 0, generation, 0))
        return self

    def restart(self) -> "Host":
        self.run, self.started = f"{self.run}+", self.now
        return self

    def another_daemon(self, after_s: float) -> "Host":
        """Die, and be followed by another one."""
        state = self.meter.state(self.now)
        self.pass_s(after_s)
        kept = self.meter.slots
        self.meter = Meter(self.now)
        self.meter.slots = kept
        self.meter.resume(state)
        return self

    def of(self, activity: str, hour: int = HOUR) -> Usage:
        return self.meter.slots.get(HourUsage(hour, "chat", Activity(activity)), Usage())

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


def test_a_gpu_that_two_share_counts_half() -> None:
    host = Host(shared=2).look().pass_s(10).look()
    assert host.of("busy") == Usage(10 * SECOND_NS, 5 * SECOND_NS)


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
    host.another_daemon(after_s=30).look("down", run=False).pass_s(1)
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
    for _ in range(700):
        host.pass_s(1).look("down", run=False)
    assert host.meter.state(host.now)["at_ns"] == host.now
    host.restart().count(7).look("idle").pass_s(1).look("idle")
    assert host.all.prompt_tokens == 107
    assert host.of("unwatched") == Usage()
    assert GAP_NS == 600 * SECOND_NS


def test_a_daemon_that_dies_before_the_gap_is_closed_leaves_all_of_it() -> None:
    host = Host().look().count(100).pass_s(5).look()
    host.another_daemon(after_s=10).look("down", run=False).pass_s(1)
    host.another_daemon(after_s=10).look("idle").count(120).pass_s(1).look("idle")
    assert host.all.prompt_tokens == 120
    assert host.of("unwatched").duration_ns == 21 * SECOND_NS


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
    host.pass_s(0).look("busy")
    assert host.of("idle").energy_mj == 600_000
    assert host.of("busy").energy_mj == 5_400_001
    host.energy_mj = 50  # the driver was loaded again
    host.pass_s(5).look("busy")
    assert host.all.energy_mj == 6_000_051


def test_energy_of_a_gpu_that_two_share_is_divided() -> None:
    host = Host(shared=2)
    host.energy_mj, host.power_mw = 0, 1000
    host.look().pass_s(5)
    host.energy_mj = 1000
    assert host.look().all.energy_mj == 500


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
        Meter(0).resume(state)
