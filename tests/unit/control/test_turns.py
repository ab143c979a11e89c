import asyncio
import os
from typing import Any

import pytest

from vllmd.control.peer import Peer
from vllmd.control.turns import Turns


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


async def ask(turns: Turns, uid: int, method: str = "GET", times: int = 10) -> list[Any]:
    scope = {"client": (Peer(1, uid, frozenset()), 1), "method": method}
    unused: Any = None
    asking = [asyncio.create_task(turns(scope, unused, unused)) for _ in range(times)]
    for _ in range(5):
        await asyncio.sleep(0)
    return asking


async def test_turns_of_one_user_are_few_and_another_user_does_not_wait() -> None:
    app = App()
    turns = Turns(app, at_once=2)
    asking = await ask(turns, uid=65534)
    assert app.running == 2
    asking += await ask(turns, uid=1000, times=1)
    assert app.running == 3
    app.may_end.set()
    await asyncio.gather(*asking)
    assert app.most == 3
    assert not turns._users


@pytest.mark.parametrize(("uid", "method"), [(0, "GET"), (os.geteuid(), "GET"), (65534, "POST")])
async def test_turns_do_not_hold_up_root_nor_what_changes_something(uid: int, method: str) -> None:
    app = App()
    asking = await ask(Turns(app, at_once=2), uid, method)
    assert app.running == 10
    app.may_end.set()
    await asyncio.gather(*asking)
