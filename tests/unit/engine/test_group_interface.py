import asyncio

import pytest

from vllmd.engine.exits import Exit
from vllmd.engine.group_interface import ALONE, GroupStatus
from vllmd.engine.operator_requests import OperatorRequests


async def test_alone_starts_at_once_and_nobody_ends_it() -> None:
    requests, said = OperatorRequests(), list[str]()
    first = await ALONE.next_run(requests, lambda: True, said.append)
    second = await ALONE.next_run(requests, lambda: True, said.append)
    assert first
    assert second not in (None, first)
    assert await ALONE.next_run(requests, lambda: False, said.append) is None
    assert said == []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ALONE.until_end("run"), 0.01)


async def test_alone_an_end_has_its_own_cause() -> None:
    end = Exit("1", requested=False, at=1.0, run_id="r")
    assert await ALONE.first_cause(end) is end
    assert await ALONE.joined()
    assert not ALONE.gets_on()
    assert ALONE.status() is None


def test_status_is_shown_as_json() -> None:
    shown = GroupStatus("head", 0, "data", {"gpu01": "ready"}).to_json()
    assert shown["hosts"] == {"gpu01": "ready"}
    assert (shown["role"], shown["red"]) == ("head", None)
