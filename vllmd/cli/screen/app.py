"""The application: it looks at the daemons, shows pages, and runs commands that were confirmed."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.worker import Worker, WorkerState

from vllmd.cli.engine_table import Engine
from vllmd.cli.screen import actions
from vllmd.cli.screen.actions import Action, Done
from vllmd.cli.screen.dialogs import Question, Result
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.page import ScreenPage
from vllmd.cli.screen.pages import EnginePage, LogPage, TabsPage, WhyPage
from vllmd.util.threads import Threads

Run = Callable[[Action], Awaitable[Done]]
PATIENCE_S = 1.0
"""How long a look waits for an answer; a later one is shown by the next look."""
TERMINAL_S = 1.0
"""How often it is looked whether there still is a terminal."""
LOCAL = "Commands are those of this host's daemon, and need its rights."
OTHERS = (
    "Other hosts are only looked at, by their pages: restart, drain, start, log and why need "
    "'vllmd top' there."
)


def end_without_terminal(stdin: int = 0) -> None:
    """End as SIGHUP does once the terminal is gone: where that is ignored, its input would spin.

    There is nothing to give back, and textual's own end waits for what nobody takes any more.
    """
    if not os.isatty(stdin):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGHUP)


class TopApp(App[None]):
    """`vllmd top`."""

    TITLE = "vllmd top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []
    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    ModalScreen { background: transparent; }
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        feeds: Feeds | None,
        socket: Path | None,
        interval_s: float = 1.0,
        *,
        engine: str | None = None,
        run: Run = actions.run,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Show these daemons; `feeds` and `socket` are of this host's, None if it is none of them.

        `engine` is shown at first, if it is named.
        """
        super().__init__(ansi_color=True)  # the terminal's own colours, or none with NO_COLOR
        self.theme = "ansi-dark"
        self.hosts = hosts
        self.feeds = feeds
        self.paused = False
        self.doing = ""
        self.monotonic = monotonic
        self.wall = wall
        self._socket = socket
        self._interval_s = interval_s
        self._engine = engine
        self._run = run
        self._looking = False
        self._asked: dict[object, asyncio.Task[None]] = {}
        """Who has not answered yet."""

    @property
    def about(self) -> str:
        """What the help says of commands."""
        return LOCAL if self.feeds is not None else OTHERS

    def on_mount(self) -> None:
        """Show the first page, and begin to look."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Threads(close_s=0))  # who hangs keeps nobody from leaving
        loop.add_signal_handler(signal.SIGTERM, self.exit)  # else the terminal stays as a screen is
        self.push_screen(TabsPage())
        if self._engine is not None:
            self.open_engine(self.hosts[0], self._engine)
        self.set_interval(self._interval_s, self.look_soon)
        if not self.is_headless:
            self.set_interval(TERMINAL_S, end_without_terminal)

    # --- looking ---------------------------------------------------------------------------------

    def page(self) -> ScreenPage | None:
        """Return the page that is in front, or behind a question."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, ScreenPage)), None)

    def look_soon(self) -> None:
        """Look at all daemons, if that is not under way."""
        if not self._looking and not self.paused:
            self._looking = True
            self.run_worker(self._look(), exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say what went wrong in a look, a mistake of ours, and look again."""
        page = self.page()
        if event.state is WorkerState.ERROR and page is not None:
            page.say(f"what was answered cannot be shown: {event.worker.error!r}", "red")

    async def _look(self) -> None:
        try:
            await self.look()
        finally:
            self._looking = False

    async def look(self) -> None:
        """Look at all daemons, and show what they say; none waits for another."""
        page = self.page()
        series = page.wants_series() if page else False
        now, wall = self.monotonic(), self.wall()
        for host in self.hosts:
            self._begin(host, partial(host.look, now, wall, series=series))
        await self._answers(self.hosts)
        feeds = page.feeds() if page else ()
        for feed in feeds:
            self._begin(feed, partial(feed.renew, now))
        await self._answers(feeds)
        if page is not None and page is self.page():
            page.redraw()

    def _begin(self, asked: object, ask: Callable[[], None]) -> None:
        """Ask in a thread, if that is not under way: a daemon or a disk may answer never."""
        if asked not in self._asked:
            self._asked[asked] = asyncio.create_task(asyncio.to_thread(ask))

    async def _answers(self, asked: Sequence[object]) -> None:
        """Wait for answers, but not for long; one that comes later is shown by the next look."""
        if not asked:
            return
        done, _ = await asyncio.wait([self._asked[each] for each in asked], timeout=PATIENCE_S)
        self._asked = {each: task for each, task in self._asked.items() if task not in done}
        for task in done:
            task.result()

    # --- pages -----------------------------------------------------------------------------------

    def open_engine(self, host: Host, name: str) -> None:
        """Show an engine."""
        self.push_screen(EnginePage(host, name))

    def open_log(self, host: Host, engine: Engine) -> None:
        """Show an engine's log."""
        self._open(LogPage(host, str(engine["name"])))

    def open_why(self, host: Host, engine: Engine) -> None:
        """Show why an engine ended."""
        self._open(WhyPage(host, str(engine["name"])))

    def _open(self, page: ScreenPage) -> None:
        """Show a page, in place of one of the same kind."""
        if isinstance(self.screen, LogPage | WhyPage):
            self.switch_screen(page)
        else:
            self.push_screen(page)

    # --- commands --------------------------------------------------------------------------------

    def act_on(self, engine: Engine, verb: str) -> None:
        """Ask, and start, stop or restart an engine."""
        if self._socket is not None:
            self._ask(actions.on_engine(verb, engine, self._socket))

    def reap(self) -> None:
        """Ask, and kill orphans, if there are any."""
        page = self.page()
        if self.feeds is None or self._socket is None or page is None:
            if page is not None:
                page.say(
                    "orphans are killed by 'vllmd top' or 'vllmd gpu reap' on their host", "yellow"
                )
            return
        self.run_worker(self._reap(self.feeds, self._socket, page))

    async def _reap(self, feeds: Feeds, socket: Path, page: ScreenPage) -> None:
        await asyncio.to_thread(feeds.gpus.renew, self.monotonic())
        if feeds.gpus.problem:
            page.say(feeds.gpus.problem, "red")
            return
        shown = feeds.gpus.value or {"gpus": []}
        orphans = [
            (str(gpu["gpu"]), int(process["pid"]), process["bytes"])
            for gpu in shown["gpus"]
            for process in gpu["processes"]
            if process["owner"] == "orphan"
        ]
        if orphans:
            self._ask(actions.reap(orphans, socket))
        else:
            page.say("no orphan of ours holds GPU memory")

    def _ask(self, action: Action) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._carry_out(action))

        self.push_screen(Question(action), answered)

    async def _carry_out(self, action: Action) -> None:
        """Run a command, and say how it ended: in a line, or in a box if it failed."""
        self._say_doing(f"runs: {action.shown}")
        done = await self._run(action)
        self._say_doing("")
        page = self.page()
        if done.code:
            self.push_screen(Result(action, done))
        elif page is not None:
            page.say(done.output.rpartition("\n")[2] or f"done: {action.shown}", "green")
        self.look_soon()

    def _say_doing(self, text: str) -> None:
        self.doing = text
        if (page := self.page()) is not None:
            page.say("")
