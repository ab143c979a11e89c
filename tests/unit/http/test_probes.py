import pytest

from tests.helpers.make import status
from vllmd.engine.group_interface import GroupStatus
from vllmd.engine.loading.phases import PHASES
from vllmd.engine.state_machine import State
from vllmd.http.probes import ready, started

NAMES = [name for name, _ in PHASES]


@pytest.mark.parametrize("state", list(State))
def test_started_of_what_is_not_loading_is_that_a_process_got_so_far(state: State) -> None:
    waits = {State.STOPPED, State.STARTING, State.LOADING, State.BACKOFF, State.HELD}
    response = started([status(state=state)])
    assert response.status_code == (503 if state in waits else 200)
    more = ", not started" if state in waits else ""
    hint = " ('vllmd wake chat' wakes it)" if state is State.SLEEPING else ""
    assert bytes(response.body).decode() == f"chat: {state}{more}{hint}\n"


@pytest.mark.parametrize("phase", [None, *NAMES])
def test_started_of_a_load_is_by_its_phase(phase: str | None) -> None:
    response = started([status(state=State.LOADING, phase=phase)])
    assert response.status_code == (503 if phase in (None, "init") else 200)
    if phase:
        assert f"loading ({phase})" in bytes(response.body).decode()


@pytest.mark.parametrize("phase", [None, *NAMES])
def test_started_part_of_a_group_is_under_way_while_it_waits_for_other_hosts(
    phase: str | None,
) -> None:
    """A kubelet that ended it would keep all of them waiting, again and again."""
    group = GroupStatus("member", 1, "data", {})
    waiting = status(state=State.WAITING, group=group)
    assert started([waiting]).status_code == 200
    assert ready([waiting]).status_code == 503
    assert started([status(state=State.LOADING, phase=phase, group=group)]).status_code == 200
    assert started([status(state=State.HELD, group=group)]).status_code == 503


def test_started_engine_that_waits_for_the_load_of_another_is_under_way() -> None:
    one = status("a", state=State.LOADING, phase="weights")
    other = status("b", state=State.STARTING, awaited_load="a")
    assert started([one, other]).status_code == 200
    assert started([status("a", state=State.HELD), other]).status_code == 503
    assert started([]).status_code == 200


def test_engine_that_was_not_looked_for_is_neither() -> None:
    engine = status(looked_for=False)
    for probe in (ready, started):
        response = probe([engine])
        assert response.status_code == 503
        assert b"chat: not known yet" in bytes(response.body)


def test_engine_whose_answers_are_wrong_is_not_ready_and_is_started() -> None:
    engine = status(wrong_answers="2.00 nats from the reference")
    response = ready([engine])
    assert response.status_code == 503
    said = bytes(response.body).decode()
    assert said == "chat: ready, answers wrong ('vllmd probe chat' shows what differs)\n"
    assert started([engine]).status_code == 200


def test_ready_of_one_whose_run_has_ended_is_red_at_once() -> None:
    response = ready([status(is_over=True)])
    assert response.status_code == 503
    assert bytes(response.body) == b"chat: ended, it is looked into why\n"
