import pytest

from tests.helpers.group_scenes import lacks
from vllmd.engine.state_machine import State


@pytest.mark.parametrize(
    ("role", "state", "told"),
    [
        ("head", State.HELD, True),
        ("head", State.WAITING, True),
        ("head", State.UNREACHABLE, True),
        ("head", State.STOPPED, False),
        ("member", State.UNREACHABLE, True),
        ("member", State.WAITING, False),
        ("member", State.HELD, False),
    ],
)
def test_group_that_lacks_a_host_is_told_by_its_head_or_else_by_members(
    role: str, state: State, told: bool
) -> None:
    """One that was stopped there is told by nobody, and none of them is told as down."""
    found = [c["alert"] for c in lacks(role, state).service().document()["conditions"]]
    assert found == (["VllmdGroupIncomplete"] if told else [])
