import asyncio
import os
from typing import Any

import pytest

from vllmd.control import user_limits as module
from vllmd.control.peer import Peer
from vllmd.control.user_limits import A_SECOND, AT_ONCE, BURST_S, MAX_USERS, UserLimits

SLEEP = asyncio.sleep


class App:
    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.may_end = asyncio.Event()

    async def __call__(self, *_: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.may_end.wait()
        self.running -= 1


async def ask(turns: UserLimits, uid: int, method: str = "GET", times: int = 10) -> list[Any]:
    scope = {"client": (Peer(1, uid, frozenset()), 1), "method": method}
    unused: Any = None
    asking = [asyncio.create_task(turns(scope, unused, unused)) for _ in range(times)]
    for _ in range(5):
        await SLEEP(0)
    return asking


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_turns_of_one_user_are_few_and_another_user_does_not_wait(method: str) -> None:
    app = App()
    turns = UserLimits(app)
    asking = await ask(turns, uid=65534, method=method)
    assert app.running == AT_ONCE
    asking += await ask(turns, uid=1000, times=1)
    assert app.running == AT_ONCE + 1
    app.may_end.set()
    await asyncio.gather(*asking)
    assert app.most == AT_ONCE + 1


@pytest.mark.parametrize(("uid", "method"), [(0, "GET"), (os.geteuid(), "GET"), (65534, "POST")])
async def test_turns_do_not_hold_up_root_nor_what_changes_something(uid: int, method: str) -> None:
    app = App()
    asking = await ask(UserLimits(app), uid, method)
    assert app.running == 10
    app.may_end.set()
    await asyncio.gather(*asking)


async def test_turns_in_a_second_are_so_many_after_a_burst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        if seconds:
            waited.append(seconds)
        await SLEEP(0)

    app = App()
    app.may_end.set()
    turns = UserLimits(app)
    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr(module, "AT_ONCE", 1000)
    burst = int(A_SECOND * BURST_S)
    await asyncio.gather(*await ask(turns, uid=65534, times=burst - 10))
    assert waited == []
    await asyncio.gather(*await ask(turns, uid=65534, times=500))
    assert len(waited) >= 400
    assert max(waited) > 400 / A_SECOND


async def test_turns_remember_few_users() -> None:
    app = App()
    app.may_end.set()
    turns = UserLimits(app)
    for uid in range(1000, 1000 + 3 * MAX_USERS):
        await asyncio.gather(*await ask(turns, uid=uid, times=1))
    assert len(turns._users) <= MAX_USERS
