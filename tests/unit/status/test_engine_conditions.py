import json

import pytest

from tests.helpers.group_scenes import lacks
from vllmd.engine.group_interface import UNREADABLE
from vllmd.engine.state_machine import State
from vllmd.status.network import for_network


@pytest.mark.parametrize(
    ("role", "state", "told"),
    [
        ("head", State.HELD, True),
        ("head", State.WAITING, True),
        ("head", State.UNREACHABLE, True),
        ("head", State.STOPPED, False),
        ("member", State.UNREACHABLE, True),
        ("member", UNREADABLE, True),
        ("member", State.WAITING, False),
        ("member", State.HELD, False),
    ],
)
def test_group_that_lacks_a_host_is_told_by_its_head_or_else_by_members(
    role: str, state: str, told: bool
) -> None:
    """One that was stopped there is told by nobody, and none of them is told as down."""
    found = [c["alert"] for c in lacks(role, state).service().document()["conditions"]]
    assert found == (["VllmdGroupIncomplete"] if told else [])


def test_network_is_not_told_which_host_a_group_lacks() -> None:
    document = lacks("head", State.HELD).service().document()
    assert "gpu02" in json.dumps(document["conditions"])
    assert "gpu02" not in json.dumps(for_network(document))
