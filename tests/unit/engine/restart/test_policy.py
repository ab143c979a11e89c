import itertools
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.each import of_each
from vllmd.config.model import RestartConfig
from vllmd.engine.causes import BY_NAME, LASTING
from vllmd.engine.causes.base import WALLS, Diagnosis, Kind
from vllmd.engine.causes.verdict import suspected
from vllmd.engine.restart.policy import (
    OF_THE_ENGINE,
    Failure,
    Hold,
    RestartHistory,
    Retry,
    decide,
    forgotten,
    proven,
    released,
)

SETTINGS = RestartConfig(
    initial_s=1, max_s=60, jitter=0.5, reset_after_s=600, max_failures=6, window_s=7200
)


def of(
    kind: Kind, cause: str = "c", line: str | None = None, perhaps: str | None = None
) -> Diagnosis:
    found = Diagnosis(perhaps or cause, kind, "It broke.", "Mend it.", (line,) if line else ())
    return suspected(found) if perhaps else found


@attrs.define
class Life:
    """An engine that fails again and again; time passes between its failures."""

    past: RestartHistory = attrs.field(factory=RestartHistory)
    now: float = 1e9

    def fails(
        self,
        kind: Kind,
        cause: str = "c",
        *,
        line: str | None = None,
        perhaps: str | None = None,
        ready_s: float = 0,
        chance: float = 0,
        **more: bool,
    ) -> Retry | Hold:
        self.now += 60
        self.past, decision = decide(
            self.past,
            of(kind, cause, line, perhaps),
            SETTINGS,
            command_hash="hash",
            ready_s=ready_s,
            now=self.now,
            chance=chance,
            wall=more.get("wall", False),
        )
        return decision


def test_decide_transient_pauses_double_up_to_the_longest() -> None:
    life = Life()
    assert [life.fails(Kind.TRANSIENT) for _ in range(5)] == [Retry(s) for s in (1, 2, 4, 8, 16)]


def test_decide_jitter_only_adds() -> None:
    assert Life().fails(Kind.TRANSIENT, chance=1) == Retry(1.5)


def test_decide_sustained_readiness_begins_anew() -> None:
    life = Life()
    for _ in range(4):
        life.fails(Kind.TRANSIENT)
    assert life.fails(Kind.TRANSIENT, ready_s=599) == Retry(16)
    assert life.fails(Kind.TRANSIENT, ready_s=600) == Retry(1)


def test_decide_too_many_failures_in_the_window_are_held_with_the_first_named() -> None:
    life = Life()
    life.fails(Kind.TRANSIENT, "the_root")
    for _ in range(4):
        life.fails(Kind.TRANSIENT, "an_echo")
    held = life.fails(Kind.UNKNOWN, "an_echo")
    assert isinstance(held, Hold)
    assert held.reason == "6 failures within 5m; the first: the_root, the last: an_echo."
    assert held.retry_at == life.now + SETTINGS.hold_retry_s


def test_decide_failures_outside_the_window_do_not_count() -> None:
    life = Life()
    for _ in range(30):
        life.now += SETTINGS.window_s
        assert life.fails(Kind.TRANSIENT) == Retry(1)


def test_decide_failures_of_a_clock_that_was_ahead_do_not_count() -> None:
    life = Life()
    for _ in range(5):
        life.fails(Kind.TRANSIENT)
    life.now -= 86400  # it was set right
    assert life.fails(Kind.TRANSIENT) == Retry(1)
    assert len(life.past.failures) == 1


@pytest.mark.parametrize("kind", [Kind.CONFIGURATION, Kind.HARDWARE, Kind.DRIVER])
def test_decide_walls_are_held_at_once_with_the_fix_named(kind: Kind) -> None:
    life = Life()
    held = life.fails(kind)
    assert isinstance(held, Hold)
    assert (held.cause, held.reason) == ("c", "It broke. Mend it.")
    assert held.retry_at == life.now + SETTINGS.hold_retry_s


@pytest.mark.parametrize("kind", [Kind.TRANSIENT, Kind.UNKNOWN, Kind.OPERATOR])
def test_decide_everything_else_is_tried_again(kind: Kind) -> None:
    assert isinstance(Life().fails(kind), Retry)


@pytest.mark.parametrize("kind", list(Kind))
def test_decide_engine_that_was_ready_with_this_command_is_not_held_first(kind: Kind) -> None:
    assert isinstance(Life(proven(RestartHistory(), "hash")).fails(kind), Retry)
    other = Life(proven(RestartHistory(), "another command")).fails(kind)
    assert isinstance(other, Hold) == (kind in (Kind.CONFIGURATION, Kind.HARDWARE, Kind.DRIVER))


def test_decide_proven_engine_is_held_on_its_second_failure() -> None:
    life = Life(proven(RestartHistory(), "hash"))
    assert isinstance(life.fails(Kind.CONFIGURATION), Retry)
    assert isinstance(life.fails(Kind.CONFIGURATION), Hold)


def test_decide_proven_engine_is_held_by_a_wall_that_came_before_alone() -> None:
    """Seen on a GPU: a neighbour grew while its memory was profiled; it served before and after."""
    life = Life(proven(RestartHistory(), "hash"))
    assert isinstance(life.fails(Kind.TRANSIENT, "vram_held"), Retry)
    assert isinstance(life.fails(Kind.CONFIGURATION, "kv_cache_too_small"), Retry)
    assert isinstance(life.fails(Kind.CONFIGURATION, "model_not_found"), Retry)
    assert isinstance(life.fails(Kind.CONFIGURATION, "kv_cache_too_small"), Hold)


def test_causes_of_the_engine_exist() -> None:
    assert BY_NAME.keys() | {"unknown"} >= OF_THE_ENGINE


def test_decide_wall_that_a_caller_sees_is_held() -> None:
    assert isinstance(Life(proven(RestartHistory(), "hash")).fails(Kind.TRANSIENT, wall=True), Hold)


@of_each(itertools.product(sorted(BY_NAME), (True, False), (True, False)))
def test_decide_run_that_served_is_held_only_by_a_cause_that_says_why(
    case: tuple[str, bool, bool],
) -> None:
    cause, wall, known = case
    for kind in Kind:
        life = Life(proven(RestartHistory(), "hash") if known else RestartHistory())
        for _ in range(SETTINGS.max_failures - 1):
            decision = life.fails(kind, cause, line="KeyError: a", ready_s=5, wall=wall)
            held = isinstance(decision, Hold)
            assert not held or cause in LASTING
        assert held == (cause in LASTING and (wall or kind in WALLS))


def test_decide_start_after_a_run_that_served_is_held_by_the_same_wall() -> None:
    life = Life(proven(RestartHistory(), "hash"))
    assert isinstance(life.fails(Kind.CONFIGURATION, "weights_damaged", ready_s=5), Retry)
    assert isinstance(life.fails(Kind.CONFIGURATION, "weights_damaged", ready_s=0), Hold)


def test_decide_hold_that_was_tried_again_waits_for_a_person() -> None:
    life = Life()
    first = life.fails(Kind.HARDWARE)
    assert isinstance(first, Hold)
    life.past = released(life.past, first, by_time=True)
    second = life.fails(Kind.HARDWARE)
    assert isinstance(second, Hold)
    assert second.retry_at is None
    life.past = released(life.past, second, by_time=False)
    third = life.fails(Kind.HARDWARE)
    assert isinstance(third, Hold)
    assert third.retry_at is not None


def test_decide_another_wall_after_the_retry_has_a_retry_of_its_own() -> None:
    life = Life()
    first = life.fails(Kind.HARDWARE, "gpu_fault")
    assert isinstance(first, Hold)
    life.past = released(life.past, first, by_time=True)
    second = life.fails(Kind.CONFIGURATION, "disk_full")
    assert isinstance(second, Hold)
    assert second.retry_at is not None


def test_proven_keeps_the_newest_few() -> None:
    past = RestartHistory()
    for n in range(20):
        past = proven(past, str(n))
    assert past.proven == tuple(str(n) for n in range(12, 20))
    assert proven(past, "13").proven[-1] == "13"


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Kind)), st.floats(0, 1e5), st.floats(0, 1)), max_size=60
    )
)
def test_decide_stays_within_its_bounds(failures: Sequence[tuple[Kind, float, float]]) -> None:
    life = Life()
    for kind, ready_s, chance in failures:
        decision = life.fails(kind, ready_s=ready_s, chance=chance)
        assert len(life.past.failures) <= SETTINGS.max_failures
        if isinstance(decision, Retry):
            longest_s = SETTINGS.max_s * (1 + SETTINGS.jitter)
            assert SETTINGS.initial_s <= decision.pause_s <= longest_s
        else:
            assert decision.retry_at is None or decision.retry_at > life.now
            life.past = forgotten(life.past)


def test_decide_any_readiness_is_sustained_where_a_second_is_enough() -> None:
    past = RestartHistory(failures=(Failure(1e9 - 10, "c"),) * 3)
    settings = attrs.evolve(SETTINGS, reset_after_s=1)
    past, _ = decide(
        past,
        of(Kind.TRANSIENT),
        settings,
        command_hash="hash",
        ready_s=1,
        now=1e9,
        chance=0,
    )
    assert len(past.failures) == 1


def test_moved_past_has_the_same_failures_at_other_times() -> None:
    past = RestartHistory(failures=(Failure(100.0, "a"), Failure(200.0, "b")), proven=("hash",))
    assert past.moved(-50.0) == attrs.evolve(
        past, failures=(Failure(50.0, "a"), Failure(150.0, "b"))
    )


@pytest.mark.parametrize("retry_at", [None, 130.0])
def test_hold_moved_reads_as_long_ago_after_the_clock_was_set(retry_at: float | None) -> None:
    moved = Hold("lora_rank", "It broke.", 100.0, retry_at, "hash").moved(1000.0)
    assert (moved.since, moved.retry_at) == (1100.0, retry_at and 1130.0)


@pytest.mark.parametrize("cause", ["unknown", "cuda_error", "crashed"])
def test_decide_the_same_error_on_two_starts_that_never_became_ready_is_a_wall(cause: str) -> None:
    life = Life()
    assert isinstance(life.fails(Kind.UNKNOWN, cause, line="KeyError: 0x7f12 of 12"), Retry)
    hold = life.fails(Kind.UNKNOWN, cause, line="KeyError: 0x7f99 of 13")
    assert isinstance(hold, Hold)
    assert "The start before ended by the same error." in hold.reason
    assert hold.retry_at is not None


@pytest.mark.parametrize(
    ("cause", "lines", "ready_s"),
    [
        ("unknown", ("KeyError: a", "KeyError: b"), 0),
        ("unknown", ("KeyError: a", "KeyError: a"), 5),
        ("unknown", (None, None), 0),
        ("hub_unreachable", ("504", "504"), 0),
        ("vram_held", ("Free memory", "Free memory"), 0),
    ],
)
def test_decide_errors_that_another_start_may_not_have_are_no_wall(
    cause: str, lines: tuple[str | None, ...], ready_s: float
) -> None:
    life = Life()
    for line in lines:
        assert isinstance(life.fails(Kind.TRANSIENT, cause, line=line, ready_s=ready_s), Retry)


def test_decide_suspicion_of_a_wall_is_tried_again_and_holds_by_its_own_name() -> None:
    life = Life()
    first = life.fails(Kind.CONFIGURATION, perhaps="disk_full", line="RuntimeError: rank 1")
    assert isinstance(first, Retry)
    hold = life.fails(Kind.CONFIGURATION, perhaps="disk_full", line="RuntimeError: rank 2")
    assert isinstance(hold, Hold)
    assert hold.cause == "disk_full", "what it waits for can be asked"
    assert hold.retry_at is not None
    life.past = released(life.past, hold, by_time=True)
    other = life.fails(Kind.CONFIGURATION, perhaps="weights_damaged", line="RuntimeError: rank 3")
    assert isinstance(other, Hold)
    assert other.retry_at is not None, "another suspicion has a try of its own"


@pytest.mark.parametrize("perhaps", ["hub_unreachable", "dist_unreachable"])
def test_decide_suspicion_of_what_passes_is_no_wall(perhaps: str) -> None:
    life = Life()
    for _ in range(SETTINGS.max_failures - 1):
        again = life.fails(Kind.TRANSIENT, perhaps=perhaps, line="ZMQError: Host unreachable")
        assert isinstance(again, Retry)
    last = life.fails(Kind.TRANSIENT, perhaps=perhaps, line="ZMQError: Host unreachable")
    assert isinstance(last, Hold)
    assert (last.cause, last.retry_at is None) == (perhaps, False)


def test_decide_suspicion_after_a_run_that_served_holds_nothing() -> None:
    life = Life()
    for _ in range(2):
        served = life.fails(Kind.HARDWARE, perhaps="gpu_fault", line="lost", ready_s=5)
        assert isinstance(served, Retry)
