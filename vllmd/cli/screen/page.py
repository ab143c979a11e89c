"""What every page of `vllmd top` has: lines above, the middle, and the keys below."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from vllmd.cli import status_view, terminal
from vllmd.cli.engine_table import Engine
from vllmd.cli.screen import tabs
from vllmd.cli.screen.dialogs import Help
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.lines import Lines, Row, text_of
from vllmd.util.units import format_bytes

if TYPE_CHECKING:
    from vllmd.cli.screen.app import TopApp

_ALWAYS = ("? help", "q quit")
_LOCAL = frozenset("lwrdux")
"""Keys of what can be done to this host's daemon only."""
_EDITING = frozenset({"leave", "edge", "open", "step"})
"""Actions whose keys belong to the word while it is asked for, such as Backspace."""
Picked = tuple[Host, Engine]
"""An engine that is meant, and whose it is."""


def keys_at_once(*keys: tuple[str, str, str]) -> list[BindingType]:
    """Return bindings that are carried out as they are read, before the next key is looked at.

    Those of Textual's other kind go to the page and back first: of "/r" that is typed in one go
    the r was then the command, and not the word's first letter.
    """
    return [Binding(key, action, text, priority=True) for key, action, text in keys]


class ScreenPage(Screen[None]):
    """One page; those of a kind say what is in the middle, and which feeds that needs."""

    CSS = """
    ScreenPage { layout: vertical; }
    #above { height: auto; max-height: 50%; }
    #word { display: none; border: none; height: 1; padding: 0; background: ansi_default; }
    #word:focus { border: none; background: ansi_default; }
    #below { height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys_at_once(
        ("up,k", "move(-1)", "up"),
        ("down,j", "move(1)", "down"),
        ("pageup,ctrl+b", "page(-1)", "a screen up"),
        ("pagedown,ctrl+f,space", "page(1)", "a screen down"),
        ("home,g", "edge(False)", "to the first"),
        ("end,G", "edge(True)", "to the last"),
        ("slash", "filter", "filter"),
        ("escape", "back", "back"),
        ("backspace", "leave", "back"),
        ("l", "log", "log"),
        ("w", "why", "why"),
        ("r", "act('restart')", "restart"),
        ("d", "act('stop')", "drain and stop"),
        ("u", "act('start')", "start"),
        ("x,f9", "reap", "reap"),
        ("y", "copy", "copy as JSON"),
        ("p", "pause", "stop the picture"),
        ("question_mark,h,f1", "help", "help"),
        ("q,ctrl+c,f10", "leave_all", "quit"),
    )
    FOLLOWS: ClassVar[bool] = False
    """Whether the end of the middle is followed."""
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self.word = ""
        self.said = ""

    @property
    def top(self) -> "TopApp":
        """The application."""
        app: Any = self.app
        found: TopApp = app
        return found

    @property
    def body(self) -> Lines:
        """The middle."""
        return self.query_one("#body", Lines)

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield Lines(id="above")
        yield Lines(id="body", follows=self.FOLLOWS)
        yield Input(id="word", placeholder="a word; Enter keeps it, Esc shows all")
        yield Lines(id="below")

    def on_mount(self) -> None:
        """Show what is known already."""
        self.query_one(Input).cursor_blink = False
        self.set_focus(None)
        self.redraw()

    def on_screen_resume(self) -> None:
        """Show what is new since another page was in front."""
        if not self.query_one(Input).display:  # somebody may have typed meanwhile
            self.set_focus(None)
        self.redraw()
        self.top.look_soon()

    def on_resize(self) -> None:
        """Make the lines for another width."""
        self.call_after_refresh(self.redraw)

    # --- what a page of a kind says --------------------------------------------------------------

    def keys(self) -> Sequence[str]:
        """Return what the last line names, the most useful first."""
        return ()

    def feeds(self) -> Sequence[Any]:
        """Return the feeds that are to be renewed while it is shown."""
        return ()

    def wants_series(self) -> bool:
        """Tell whether it shows graphs."""
        return False

    def above(self, columns: int) -> list[str]:
        """Return the lines above."""
        return self._about_hosts(columns)

    def middle(self, columns: int, height: int) -> tuple[Sequence[Row], Sequence[str]]:
        """Return the rows of the middle, and the header that stays above them."""
        raise NotImplementedError

    def picked(self) -> Picked | None:
        """Return the engine that keys are about; None if there is none."""
        return None

    def copied(self) -> Any:
        """Return what is copied; None if that is nothing."""
        row = self.body.chosen
        return row.data if row else None

    # --- drawing ---------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Show what is known now."""
        if not self.is_mounted:
            return
        columns = max(20, self.size.width)
        above = self.above(columns)
        self.query_one("#above", Lines).show([Row((line,)) for line in above])
        height = max(1, self.size.height - len(above) - 2)
        rows, header = self.middle(columns, height)
        self.body.show(rows, header)
        self._draw_below(columns)

    def say(self, text: str, colour: str | None = None) -> None:
        """Show a message in the line above the keys."""
        self.said = terminal.style(text, fg=colour) if colour else text
        self._draw_below(max(20, self.size.width))

    def _about_hosts(self, columns: int) -> list[str]:
        top = self.top
        first = tabs.title(top.hosts, columns, top.monotonic(), top.wall())
        return [first, *tabs.problems(top.hosts, columns, top.monotonic())]

    def _draw_below(self, columns: int) -> None:
        notes = [f"/{self.word}" if self.word else "", self.note(), self.body.position]
        right = "  ".join(note for note in ("PAUSED" if self.top.paused else "", *notes) if note)
        left = text_of(self.said or self.top.doing)
        room = max(0, columns - len(right) - 2)
        shown = self.said or self.top.doing
        if left.cell_len > room:
            shown = status_view.cut(left.plain, room) if room else ""
        gap = " " * max(1, columns - text_of(shown).cell_len - len(right))
        room = columns - len("  ".join(_ALWAYS))
        keys = []
        for key in self.keys():
            if self.top.feeds is None and key.partition(" ")[0] in _LOCAL:
                continue
            room -= len(key) + 2
            if room < 0:
                break
            keys.append(key)
        words = [key.partition(" ") for key in (*keys, *_ALWAYS)]
        named = (f"{terminal.style(word, bold=True)} {rest}" for word, _, rest in words)
        lines = [f"{shown}{gap}{right}", "  ".join(named)]
        self.query_one("#below", Lines).show([Row((line,)) for line in lines])

    def note(self) -> str:
        """Return what is said beside the position, such as how it is sorted."""
        return ""

    # --- keys ------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tell whether a key is a command now, and none of the word that is asked for."""
        return self.is_mounted and not (action in _EDITING and self.query_one(Input).display)

    def action_move(self, count: int) -> None:
        """Go up or down."""
        self.said = ""
        self.body.move(count)
        self._draw_below(self.size.width)

    def action_page(self, count: int) -> None:
        """Go a screen up or down."""
        self.body.page(count)
        self._draw_below(self.size.width)

    def action_edge(self, end: bool) -> None:
        """Go to the first or the last line."""
        self.body.to_edge(end=end)
        self._draw_below(self.size.width)

    def action_filter(self) -> None:
        """Ask for a word."""
        word = self.query_one(Input)
        word.display = True
        word.value = self.word
        self.set_focus(word)  # at once: the next key is a letter of it, and no command

    @on(Input.Changed)
    def take_word(self, event: Input.Changed) -> None:
        """Show only what has the word in it, as it is typed."""
        if self.query_one(Input).display:
            self.word = event.value
            self.redraw()
            if self.body.chosen is None:
                self.body.begin(follows=self.body.follows)
                self.redraw()

    @on(Input.Submitted)
    def keep_word(self, event: Input.Submitted) -> None:
        """Go on with the word, also when Enter came before its last letter was taken."""
        self.word = event.value
        self._close_word()

    def _close_word(self) -> None:
        self.query_one(Input).display = False
        self.set_focus(None)
        self.redraw()

    def action_back(self) -> None:
        """Leave the filter, else the page."""
        if self.query_one(Input).display or self.word:
            self.word = ""
            self._close_word()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Go back to the page before; the first one stays."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    def action_leave_all(self) -> None:
        """End."""
        self.app.exit()

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(Help(self.top.about))

    def action_pause(self) -> None:
        """Keep the picture, or go on."""
        self.top.paused = not self.top.paused
        self._draw_below(self.size.width)

    def action_copy(self) -> None:
        """Copy what is chosen as JSON."""
        data = self.copied()
        if data is None:
            self.say("there is nothing to copy here", "yellow")
            return
        text = json.dumps(data, indent=2)
        self.app.copy_to_clipboard(text)
        self.say(
            f"copied as JSON, {format_bytes(len(text))}, where the terminal allows it (OSC 52)"
        )

    def action_act(self, verb: str) -> None:
        """Ask, and start, stop or restart the engine."""
        if (picked := self._own_engine()) is not None:
            self.top.act_on(picked[1], verb)

    def action_log(self) -> None:
        """Show the engine's log."""
        if (picked := self._own_engine()) is not None:
            self.top.open_log(*picked)

    def action_why(self) -> None:
        """Show why the engine ended."""
        if (picked := self._own_engine()) is not None:
            self.top.open_why(*picked)

    def action_reap(self) -> None:
        """Ask, and kill orphans."""
        self.top.reap()

    def _own_engine(self) -> Picked | None:
        """Return the engine that is meant, if it is of this host's daemon; else say why not."""
        picked = self.picked()
        if picked is None:
            self.say("choose an engine first (tab 1)", "yellow")
        elif not picked[0].local:
            self.say(f"{picked[0].label} is another host: run 'vllmd top' there for that", "yellow")
        else:
            return picked
        return None
