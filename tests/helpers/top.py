"""`vllmd top` on daemons that a test made: no process, no socket, no time that passes by itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual import events
from textual.keys import key_to_character
from textual.pilot import Pilot

from tests.helpers.make import gpu_figures
from tests.helpers.status_scenes import NOW, SCENES
from vllmd.cli.screen.actions import Action, Done
from vllmd.cli.screen.app import TopApp
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.page import ScreenPage
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event

SOCKET = Path("/run/vllmd/control.sock")
ROUNDS = 8
NEVER_S = 1e6
"""The screen looks when a test says so, not by itself."""


class SceneSource:
    """A daemon of a scene; `error` is raised in place of an answer."""

    def __init__(self, scene: str, label: str = "gpu-1") -> None:
        self.label = label
        self.service = SCENES[scene]().service()
        self.error: VllmdError | None = None
        self.asked: list[bool] = []
        self.changed: dict[str, Any] = {}

    def status(self, *, series: bool) -> Mapping[str, Any]:
        self.asked.append(series)
        if self.error:
            raise self.error
        return {**self.service.document(series=series), **self.changed}


class FakeClient(ControlClient):
    """Answers what a test says; `error` is raised by all of it."""

    def __init__(self) -> None:
        super().__init__(SOCKET)
        self.error: VllmdError | None = None
        self.shown: dict[str, Any] = {
            "gpus": gpu_figures().to_json(),
            "adapters": {"engines": []},
            "traces": {"window_s": 60, "problem": None, "current": None, "last": None},
            "cost": {"engines": []},
        }
        self.found: list[Event] = []
        self.asked: list[str] = []

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        self.asked.append(path)
        if self.error:
            raise self.error
        name = path.removeprefix("/v1/").partition("?")[0]
        found: dict[str, Any] = self.shown[{"gpu": "gpus", "lora": "adapters"}.get(name, name)]
        return found

    def events(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.asked.append("events")
        if self.error:
            raise self.error
        return [e.to_json() for e in self.found if e.id > wanted.get("after_id", 0)]


class Screen:
    """The application under test, and the keys that a person presses."""

    def __init__(self, app: TopApp, pilot: Pilot[None], ran: list[Action]) -> None:
        self.app = app
        self.ran = ran
        self._pilot = pilot

    @property
    def page(self) -> ScreenPage:
        page = self.app.page()
        assert page is not None
        return page

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self._pilot.press(key)
            await self.look()

    async def paste_keys(self, *keys: str) -> None:
        """Press keys so fast that all come in one read of the terminal."""
        for key in keys:
            self.app.post_message(events.Key(key, key_to_character(key)))
        await self.look()

    async def click(self, part: str, column: int, line: int) -> None:
        await self._pilot.click(part, offset=(column, line))
        await self.look()

    async def look(self) -> None:
        await self.app.look()
        await self.pause()

    async def pause(self) -> None:
        """Wait until all widgets have done what they were told, and what follows from it.

        A new height is told to the screen, and by it to other widgets: some rounds of messages, on
        a busy machine too.
        """
        for _ in range(ROUNDS):
            await self._pilot._wait_for_screen()
        await self._pilot.pause()

    async def done(self) -> None:
        """Wait until what was begun is over."""
        await self.app.workers.wait_for_complete()
        await self.pause()

    def text(self) -> str:
        """Return what stands on the screen, line by line."""
        return "\n".join(
            "".join(segment.text for segment in line).rstrip()
            for line in self.app.screen._compositor.render_strips()
        )


@asynccontextmanager
async def top(
    *sources: SceneSource,
    size: tuple[int, int] = (80, 24),
    client: FakeClient | None = None,
    local: bool = True,
    engine: str | None = None,
    done: Done | None = None,
    monotonic: list[float] | None = None,
) -> AsyncIterator[Screen]:
    """Show scenes; `done` is how every command ends, `monotonic` holds what the clock says."""
    ran: list[Action] = []
    clock = monotonic or [100.0]

    async def run(action: Action) -> Done:
        ran.append(action)
        await asyncio.sleep(0)
        return done or Done(0, f"{action.args[1]}: {action.args[0]} requested")

    app = TopApp(
        [Host(source, local=local) for source in sources],
        Feeds(client or FakeClient(), Path("/nonexistent/vllmd.toml")) if local else None,
        SOCKET if local else None,
        NEVER_S,
        engine=engine,
        run=run,
        monotonic=lambda: clock[0],
        wall=lambda: NOW,
    )
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot, ran)
        await screen.done()
        await screen.look()
        yield screen
