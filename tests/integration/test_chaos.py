"""A slice of `make chaos`, and that it sees when nothing was done."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.chaos import plan, states
from tests.chaos.__main__ import host
from tests.chaos.faults import BY_NAME, FAULTS
from tests.chaos.faults.base import Fault
from tests.chaos.lab import Lab
from tests.chaos.rows import Trial

SLICE = (
    ("ready", "kill -9 of the API server"),
    ("ready", "SIGSTOP of the EngineCore"),
    ("ready", "kill -9 of the daemon"),
    ("ready", "the daemon has no file descriptors for 2 s"),
    ("ready", "its page is garbage"),
    ("loading", "kill -9 of the EngineCore"),
    ("draining", "kill -9 of the daemon"),
    ("stopping", "SIGTERM to the daemon, and another one (an upgrade)"),
    ("backoff", "its port is taken by another program for 3 s"),
    ("held", "kill -9 of the daemon, the engine's state file is garbage"),
    ("sleeping", "kill -9 of the API server"),
)
"""One row of each state, and a little more of `ready`."""
POSSIBLE = [fault for fault in FAULTS if not (fault.impossible() or fault.needs_weights)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield host(stack, tmp_path_factory.mktemp("chaos") / "h", weights=False)


@pytest.mark.parametrize(("state", "name"), SLICE)
def test_fault_ends_as_it_should_and_vllmd_loses_no_request(
    lab: Lab, state: str, name: str
) -> None:
    states.heal(lab)
    row = Trial(lab, state, [BY_NAME[name]], "alone").run()
    assert not row.wrong, row
    assert row.landed


@pytest.mark.parametrize(
    "fault", [f for f in POSSIBLE if "ready" in f.states], ids=lambda fault: fault.name
)
def test_fault_that_is_not_done_makes_a_bad_row(lab: Lab, fault: type[Fault]) -> None:
    if lab.state() != "ready":
        states.heal(lab)
    trial = Trial(lab, "ready", [fault], "alone", there=True)
    trial.disabled, trial.seen_s = True, 0.2
    row = trial.run()
    assert row.wrong == [f"not seen: {fault.name}"]
    assert not row.landed


@pytest.mark.parametrize("fault", [f for f in POSSIBLE if "ready" not in f.states])
def test_fault_that_no_engine_that_serves_can_have_is_not_seen_either(
    lab: Lab, fault: type[Fault]
) -> None:
    one = fault()
    one.prepare(lab)
    assert not one.seen(lab)


def test_pairs_of_a_seed_are_the_same_each_time() -> None:
    assert plan.pairs(20, 7) == plan.pairs(20, 7) != plan.pairs(20, 8)


def test_plan_has_enough_pairs_of_fault_and_state() -> None:
    rows = list(plan.alone())
    assert len({(row.faults[0], row.state) for row in rows}) == len(rows) >= 150
    assert {row.state for row in rows} == set(states.STATES)
