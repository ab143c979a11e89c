import re
from pathlib import Path

import pytest

from vllmd.engine.state_machine import (
    TRANSITIONS,
    InvalidTransitionError,
    State,
    Trigger,
    transition,
)

PAGE = Path(__file__).parents[3] / "docs" / "supervision.md"


def test_transition_follows_the_table() -> None:
    for (state, event), goal in TRANSITIONS.items():
        assert transition(state, event) is goal


def test_transition_unknown_way_is_a_mistake_in_the_code() -> None:
    with pytest.raises(InvalidTransitionError, match="exited in state stopped"):
        transition(State.STOPPED, Trigger.EXITED)


def test_diagram_of_the_states_is_the_table() -> None:
    text = PAGE.read_text()
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+): (\w+)$", text, re.MULTILINE))
    assert drawn == {(str(s), str(goal), str(e)) for (s, e), goal in TRANSITIONS.items()}


def test_every_state_with_a_process_knows_its_end() -> None:
    for state in (State.LOADING, State.READY, State.UNREACHABLE, State.STOPPING):
        assert (state, Trigger.EXITED) in TRANSITIONS


def test_list_of_states_is_closed() -> None:
    assert [str(state) for state in State] == [
        *(
            "stopped",
            "waiting",
            "starting",
            "loading",
            "ready",
            "sleeping",
            "stalled",
            "unreachable",
        ),
        *("draining", "stopping", "backoff", "held"),
    ]
