"""What the status document says of parts of groups."""

from tests.helpers.status_scenes import NOW, Scene, ready
from vllmd.engine.group_interface import AwaitedHost, GroupStatus
from vllmd.engine.state_machine import State


def lacks(role: str, state: str) -> Scene:
    """A part of a group that waits for another host."""
    of = AwaitedHost("gpu02:9840", state)
    hosts = {"gpu01": "waiting", "gpu02": state}
    why = f"waits for gpu02, where it is {state}"
    group = GroupStatus(role, 0, "data", hosts, "big@gpu01", awaited=of, waits_for=why)
    return Scene([ready("big", state=State.WAITING, since=NOW - 3600, group=group)])
