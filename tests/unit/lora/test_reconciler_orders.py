"""Adapters are added, removed and read again while others load and engines come and go."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.clock import settle
from tests.helpers.lora_scene import FakeApi, Scene
from vllmd.demo.adapter import write_adapter
from vllmd.engine.state_machine import State
from vllmd.errors import VllmdError
from vllmd.lora.api import LoraApiError

NAMES = ("a", "b", "c")
MUCH_S = 2000.0
"""More than the longest pause before another try."""


class SlowApi(FakeApi):
    """Answers each request when it is granted."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = True
        self.failing: set[str] = set()
        self.alive = True
        self._waiting: list[asyncio.Future[None]] = []

    def grant(self, how_many: int = 1) -> None:
        for _ in range(min(how_many, len(self._waiting))):
            self._waiting.pop(0).set_result(None)

    def dies(self) -> None:
        self.alive = False
        self.loaded = {}
        self.grant(99)

    async def _turn(self, name: str | None = None) -> None:
        lived = self.loaded
        if self.slow:
            self._waiting.append(asyncio.get_running_loop().create_future())
            await self._waiting[-1]
        if not self.alive or lived is not self.loaded:
            raise LoraApiError("connection refused")
        if name in self.failing:
            raise LoraApiError("it does not fit")

    async def listed(self) -> Mapping[str, str]:
        await self._turn()
        return dict(self.loaded)

    async def load(self, name: str, path: str, *, in_place: bool) -> None:
        await self._turn(name)
        self.asked.append(("load", name, path))
        self.loaded[name] = path

    async def unload(self, name: str) -> None:
        await self._turn()
        self.asked.append(("unload", name))
        self.loaded.pop(name, None)


class Play:
    """A reconciler, and what is done to it in whatever order."""

    def __init__(self, folder: Path, adapters: Path) -> None:
        self.api = SlowApi()
        self.adapters = adapters
        self.scene = Scene(folder, "lora = {}", api=self.api)
        self.wanted: dict[str, str] = {}
        self.settling: asyncio.Task[bool] | None = None

    async def take(self, step: tuple[str, str]) -> None:  # noqa: PLR0912 - one case a step
        act, name = step
        reconciler = self.scene.reconciler
        match act:
            case "add":
                path = str(self.adapters / name)
                await reconciler.add(name, path)
                self.wanted[name] = path
            case "remove" | "reload":
                try:
                    result: Any = getattr(reconciler, act)(name)
                    if result is not None:
                        await result
                except VllmdError:
                    assert name not in self.wanted
                else:
                    assert name in self.wanted
                    if act == "remove":
                        del self.wanted[name]
            case "fails":
                self.api.failing.add(name)
            case "heals":
                self.api.failing.discard(name)
            case "dies":
                self.scene.state = State.LOADING
                self.api.dies()
                reconciler.forget()
            case "loads":
                self.api.alive = True
                if self.settling is None or self.settling.done():
                    self.settling = asyncio.create_task(reconciler.settled())
            case "serves":
                self.api.alive, self.scene.state = True, State.READY
            case "grant":
                self.api.grant()
            case "pass":
                await self.scene.clock.advance(15)
        await settle(5)
        assert {each.name for each in reconciler.statuses()} >= self.wanted.keys()

    async def ends(self) -> None:
        """Let nothing be in the way any more; then all is as it is wanted."""
        self.api.failing.clear()
        self.api.slow = False
        await self.take(("serves", ""))
        for _ in range(5):
            self.api.grant(99)
            await self.scene.clock.advance(MUCH_S / 5)
        assert self.api.loaded.keys() == self.wanted.keys()
        assert set(self.scene.conditions().values()) <= {"loaded"}
        assert set(self.scene.reconciler.names()) == self.wanted.keys()


steps = st.tuples(
    st.sampled_from(
        ("add", "add", "remove", "reload", "fails", "heals", "dies", "loads", "serves", "pass")
        + ("grant",) * 5
    ),
    st.sampled_from(NAMES),
)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    for name in NAMES:
        write_adapter(folder / name)
    return folder


async def at_once(work: Callable[..., Any], *args: Any) -> Any:
    await asyncio.sleep(0)
    return work(*args)


def played(order: list[tuple[str, str]], adapters: Path) -> list[tuple[str, ...]]:
    async def play(folder: str) -> list[tuple[str, ...]]:
        play = Play(Path(folder), adapters)
        task = asyncio.create_task(play.scene.reconciler.run())
        try:
            for step in order:
                await play.take(step)
                assert not task.done(), (step, task.exception())
            await play.ends()
            assert not task.done(), task.exception()
            if play.settling is not None:
                await asyncio.wait_for(play.settling, 5)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return play.api.asked

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "to_thread", at_once)
        return asyncio.run(play(folder))


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.lists(steps, max_size=25))
def test_reconciler_in_any_order_goes_on_and_ends_as_wanted(
    adapters: Path, order: list[tuple[str, str]]
) -> None:
    played(order, adapters)


SERVING = [("serves", ""), ("add", "a"), ("add", "b"), ("grant", "")]


@pytest.mark.parametrize(
    "order",
    [
        [*SERVING, ("remove", "b"), ("grant", ""), ("pass", "")],
        [*SERVING, ("remove", "a"), ("grant", ""), ("pass", "")],
        [*SERVING, ("dies", ""), ("serves", ""), ("grant", ""), ("pass", "")],
        [("dies", ""), ("add", "a"), ("add", "b"), ("loads", ""), ("grant", ""), ("remove", "b")],
    ],
    ids=["other removed", "it is removed", "engine dies", "while it starts"],
)
def test_reconciler_wish_that_changes_while_one_loads_is_kept(
    adapters: Path, order: list[tuple[str, str]]
) -> None:
    played(order, adapters)


def test_reconciler_reload_that_is_asked_for_while_it_loads_loads_it_again(adapters: Path) -> None:
    asked = played(
        [("serves", ""), ("add", "a"), *[("pass", "")] * 2, ("grant", ""), ("reload", "a")],
        adapters,
    )
    assert [each[:2] for each in asked] == [("load", "a")] * 2
