"""The pages: the tabs, one engine, its log, and why it ended."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on
from textual.binding import BindingType

from vllmd.cli import terminal
from vllmd.cli.screen import engine_view, tabs
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.lines import Lines, Row, plain
from vllmd.cli.screen.page import Picked, ScreenPage, keys_at_once

TABS = ("Engines", "GPUs", "Requests", "Events", "Cost")
ENGINES, GPUS, REQUESTS, EVENTS, COST = range(5)
FEW_ALERTS, MANY_ALERTS, TALL = 3, 8, 36


class TabsPage(ScreenPage):
    """The first page."""

    BINDINGS: ClassVar[list[BindingType]] = keys_at_once(
        *(
            (key, f"tab({index})", TABS[index])
            for index, key in enumerate(("1,f2", "2,f3", "3,f4", "4,f5", "5,f6"))
        ),
        ("tab,right", "step(1)", "the next tab"),
        ("shift+tab,left", "step(-1)", "the tab before"),
        ("enter", "open", "open"),
        ("s", "sort", "sort"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.tab = ENGINES
        self._words = [""] * len(TABS)
        self._sorts = {ENGINES: 0, REQUESTS: 0}
        self._events = tabs.EventRows()

    def keys(self) -> Sequence[str]:
        """Return what makes sense in this tab."""
        move = ("/ filter", "y copy")
        return {
            ENGINES: (
                "Enter open",
                "/ filter",
                "s sort",
                "l log",
                "w why",
                "r restart",
                "d drain",
                "u start",
                "y copy",
            ),
            GPUS: ("x reap orphans", "y copy"),
            REQUESTS: ("s sort", *move),
            EVENTS: ("End follow", *move),
            COST: ("y copy",),
        }[self.tab]

    def feeds(self) -> Sequence[Any]:
        """Return those of the tab."""
        feeds = self.top.feeds
        if feeds is None or self.tab == ENGINES:
            return ()
        return ((feeds.gpus,), (feeds.traces,), (feeds.events,), (feeds.cost,))[self.tab - 1]

    def wants_series(self) -> bool:
        """Tell whether there is a graph: beside wide tables, and of GPUs."""
        wide = self.tab == ENGINES and self.size.width >= tabs.GRAPH_FROM
        return wide or self.tab == GPUS

    def above(self, columns: int) -> list[str]:
        """Return the daemon, all in one line, and the tabs."""
        first, *problems = self._about_hosts(columns)
        known = any(host.document for host in self.top.hosts)
        totals = [tabs.totals(self.top.hosts, columns)] if known else []
        return [first, *totals, *problems, _tab_line(self.tab)]

    def middle(self, columns: int, height: int) -> tuple[Sequence[Row], Sequence[str]]:
        """Return the tab."""
        top = self.top
        hosts, feeds = top.hosts, top.feeds
        match self.tab:
            case 0:
                return self._engines(columns, height)
            case 1:
                return tabs.gpus(hosts, feeds, columns), ()
            case 2:
                return tabs.requests(feeds, columns, self._sort(tabs.REQUEST_SORTS), self.word)
            case 3:
                return self._events.rows(feeds, columns, self.word), ()
            case _:
                return tabs.cost(feeds, columns), ()

    def _engines(self, columns: int, height: int) -> tuple[Sequence[Row], Sequence[str]]:
        hosts = self.top.hosts
        if not any(host.document for host in hosts):
            return plain("", "waiting for an answer …"), ()
        rows, header = tabs.engines(hosts, columns, self._sort(tabs.SORTS), self.word)
        if not rows:
            nothing = "no engine has that word in it" if self.word else "no engine is configured"
            rows = plain(nothing)
        alerts = tabs.alerts(hosts, columns, MANY_ALERTS if height >= TALL else FEW_ALERTS)
        if alerts:
            alerts = [*alerts, ""]
        room = height - len(alerts) - len(header) - sum(len(row.lines) for row in rows)
        bars = tabs.gpu_bars(hosts, columns)
        if len(bars) > room > 2:
            more = f"  … {len(bars) - room + 1} more: tab 2"
            bars = [*bars[: room - 1], Row((more,))]
        if len(bars) <= room:
            rows = [*rows, *bars]
            rows += self._chosen_graphs(columns, room - len(bars))
        return rows, [*alerts, *header]

    def _chosen_graphs(self, columns: int, room: int) -> Sequence[Row]:
        """Return the graphs of the engine that is chosen, where there is room for them."""
        picked = self.picked()
        if picked is None or not self.wants_series() or not picked[0].series:
            return ()
        name = terminal.style(str(picked[1]["name"]), fg="cyan", bold=True)
        graphs = [*engine_view.graphs(*picked, columns, 2)]
        return plain("", name, *graphs) if len(graphs) + 2 <= room else ()

    def note(self) -> str:
        """Return how it is sorted."""
        sorts = {ENGINES: tabs.SORTS, REQUESTS: tabs.REQUEST_SORTS}.get(self.tab)
        return f"sorted by {self._sort(sorts)}" if sorts and self._sorts[self.tab] else ""

    def picked(self) -> Picked | None:
        """Return the engine that is chosen."""
        row = self.body.chosen if self.tab == ENGINES else None
        if row is None or row.key is None:
            return None
        index, name = tabs.split_key(row.key)
        host = self.top.hosts[index]
        engine = host.engine(name)
        return None if engine is None else (host, engine)

    def copied(self) -> Any:
        """Return what is chosen; where nothing can be, what the tab is made of."""
        feeds = self.top.feeds
        if self.tab == GPUS:
            return (
                feeds.gpus.value
                if feeds
                else [(h.document or {}).get("gpus") for h in self.top.hosts]
            )
        if self.tab == COST:
            return feeds.cost.value if feeds else None
        return super().copied()

    def _sort(self, sorts: Any) -> str:
        names = list(sorts)
        return str(names[self._sorts[self.tab] % len(names)])

    def action_tab(self, index: int) -> None:
        """Show a tab."""
        self._words[self.tab] = self.word
        self.tab, self.word, self.said = index, self._words[index], ""
        self.body.begin(follows=index == EVENTS)
        self.redraw()
        self.top.look_soon()

    def action_step(self, count: int) -> None:
        """Show the next tab, or the one before."""
        self.action_tab((self.tab + count) % len(TABS))

    def action_sort(self) -> None:
        """Sort by the next column."""
        if self.tab in self._sorts:
            names = tabs.SORTS if self.tab == ENGINES else tabs.REQUEST_SORTS
            self._sorts[self.tab] = (self._sorts[self.tab] + 1) % len(names)
            self.redraw()

    @on(Lines.Opened)
    def action_open(self) -> None:
        """Show the engine that is chosen."""
        if (picked := self.picked()) is not None:
            self.top.open_engine(picked[0], str(picked[1]["name"]))

    @on(Lines.Clicked)
    def click_tab(self, event: Lines.Clicked) -> None:
        """Show the tab that was clicked on."""
        if event.sender.id != "above" or event.line != event.sender.size.height - 1:
            return
        at = 0
        for index, name in enumerate(TABS):
            at += len(name) + 5
            if event.column < at:
                self.action_tab(index)
                return


def _tab_line(chosen: int) -> str:
    names = [f" {index + 1} {name} " for index, name in enumerate(TABS)]
    return " ".join(
        terminal.style(f"[{name[1:-1]}]", fg="cyan", bold=True) if index == chosen else name
        for index, name in enumerate(names)
    )


class EnginePage(ScreenPage):
    """All of one engine."""

    def keys(self) -> Sequence[str]:
        """Return what the last line names, the most useful first."""
        return ("Esc back", "l log", "w why", "r restart", "d drain", "u start", "y copy")

    def __init__(self, host: Host, name: str) -> None:
        super().__init__()
        self._host = host
        self.engine_name = name

    def feeds(self) -> Sequence[Any]:
        """Return all that is shown of it."""
        feeds = self.top.feeds
        engine = self._host.engine(self.engine_name)
        if feeds is None or engine is None:
            return ()
        wanted = [feeds.told, feeds.traces, feeds.events, feeds.log(str(engine["log"]))]
        return [*wanted, feeds.adapters] if engine.get("adapters") else wanted

    def wants_series(self) -> bool:
        """It is made of them."""
        return True

    def above(self, columns: int) -> list[str]:
        """Return the daemon, and the engine's name."""
        engine = self._host.engine(self.engine_name)
        model = f"  {engine['model']}" if engine else ""
        name = f"{terminal.style(self.engine_name, fg='cyan', bold=True)}{model}"
        return [*self._about_hosts(columns), name]

    def middle(self, columns: int, height: int) -> tuple[Sequence[Row], Sequence[str]]:
        """Return its parts."""
        engine = self._host.engine(self.engine_name)
        if engine is None:
            return plain(f"{self.engine_name} is not configured any more"), ()
        feeds = self.top.feeds if self._host.local else None
        return engine_view.rows(self._host, engine, feeds, columns, height), ()

    def picked(self) -> Picked | None:
        """Return the engine."""
        engine = self._host.engine(self.engine_name)
        return None if engine is None else (self._host, engine)

    def copied(self) -> Any:
        """Return the engine with its series."""
        engine = self._host.engine(self.engine_name)
        return engine and {**engine, "series": self._host.engine_series(self.engine_name)}


class _PartPage(EnginePage):
    """A part of an engine's page that fills the screen."""

    def wants_series(self) -> bool:
        """It has no graph."""
        return False


class LogPage(_PartPage):
    """An engine's log, followed while its end is in sight."""

    def keys(self) -> Sequence[str]:
        """Return what the last line names, the most useful first."""
        return ("Esc back", "/ filter", "End follow", "w why", "r restart", "d drain", "u start")

    FOLLOWS = True

    def __init__(self, host: Host, name: str) -> None:
        super().__init__(host, name)
        self._made: tuple[Any, list[Row]] = (None, [])

    def feeds(self) -> Sequence[Any]:
        """Return its log."""
        engine = self._host.engine(self.engine_name)
        feeds = self.top.feeds
        return (feeds.log(str(engine["log"])),) if feeds and engine else ()

    def middle(self, columns: int, height: int) -> tuple[Sequence[Row], Sequence[str]]:
        """Return its lines."""
        found = self.feeds()
        if not found:
            return plain("this log cannot be read here"), ()
        lines = found[0].value
        if found[0].problem:
            return plain(terminal.style(found[0].problem, fg="red")), ()
        made = (id(lines), columns, self.word)
        if made != self._made[0]:
            self._made = made, engine_view.log_rows(lines or (), columns, self.word)
        return self._made[1] or plain("no line" if self.word else "it has printed nothing yet"), ()

    def note(self) -> str:
        """Return whether its end is followed."""
        return "following" if self.body.at_end else "End follows again"

    def copied(self) -> Any:
        """Return the lines that are shown."""
        found = self.feeds()
        word = self.word.casefold()
        lines = found[0].value or [] if found else []
        return [each.to_json(self.engine_name) for each in lines if word in each.text.casefold()]


class WhyPage(_PartPage):
    """What `vllmd why` says of an engine."""

    def keys(self) -> Sequence[str]:
        """Return what the last line names, the most useful first."""
        return ("Esc back", "l log", "r restart", "u start", "y copy")

    def feeds(self) -> Sequence[Any]:
        """Return what it is told from."""
        return (self.top.feeds.told,) if self.top.feeds else ()

    def middle(self, columns: int, height: int) -> tuple[Sequence[Row], Sequence[str]]:
        """Return the report."""
        engine, feeds = self._host.engine(self.engine_name), self.top.feeds
        if engine is None or feeds is None:
            return plain(tabs.NOT_HERE), ()
        return engine_view.why_text(engine, feeds, min(columns, 100)), ()

    def copied(self) -> Any:
        """Return the report."""
        engine, feeds = self._host.engine(self.engine_name), self.top.feeds
        return feeds.report(dict(engine)) if feeds and engine else None
