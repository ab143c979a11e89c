"""Sums by the hour over deaths of daemons, boots, and gaps in which nobody counted."""

from tests.helpers.metered import Host
from vllmd.cost.meter import GAP_NS, Sample
from vllmd.cost.usage import (
    NOBODY,
    SECOND_NS,
    Activity,
    Usage,
)


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
