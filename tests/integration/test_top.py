"""`vllmd top` in a terminal, driven by keys: what a person at three in the morning would do."""

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.site import VLLMD, Site, needs, wait_for

ENV = ("env", "-u", "COLUMNS", "-u", "LINES", "TERM=xterm-256color", "LC_ALL=C.UTF-8")
"""A size in the environment would be taken for that of the terminal, for ever."""


class Terminal:
    """A terminal of tmux, in which one program runs."""

    def __init__(self, folder: Path, columns: int, rows: int, *command: str) -> None:
        self._tmux = [shutil.which("tmux") or "tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        size = ["-x", str(columns), "-y", str(rows)]
        self._run("new-session", "-d", *size, *ENV, *command)
        self._run("set-option", "-g", "remain-on-exit", "on")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert not done.stderr or "server" in done.stderr, done.stderr
        return done.stdout

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def shows(self, *words: str) -> str:
        """Wait until all of them stand there."""

        def asked() -> str | None:
            text = self.text()
            return text if all(word in text for word in words) else None

        try:
            return wait_for(f"{words} on the screen", asked, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is:\n{self.text()}") from None

    def ended(self) -> bool:
        return self._run("list-panes", "-F", "#{pane_dead}").strip() != "0"

    def close(self) -> None:
        self._run("kill-server")


@contextmanager
def top(site: Site, columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    needs("tmux")
    socket = site.folder / "run" / "control.sock"
    terminal = Terminal(site.folder, columns, rows, str(VLLMD), "top", "--socket", str(socket))
    try:
        yield terminal
    finally:
        terminal.close()


def test_top_shows_an_engine_restarts_it_and_outlives_the_daemon(chat: Site) -> None:
    before = chat.engine("chat")["run_id"]
    with top(chat) as terminal:
        terminal.shows("ENGINE", "chat", "ready", "live", "q quit")
        terminal.press("r")
        terminal.shows("vllmd restart chat --socket", "y yes")
        terminal.press("n")
        terminal.press("r")
        terminal.shows("y yes")
        assert chat.engine("chat")["run_id"] == before
        terminal.press("y")
        terminal.shows("chat: restart requested")
        wait_for("the restart", lambda: chat.engine("chat")["run_id"] not in (before, None), 60)
        terminal.press("4")
        terminal.shows("[4 Events]", "engine.state_changed", "state=ready")
        terminal.press("1")
        terminal.shows("ENGINE")
        chat.kill_daemon()
        terminal.shows(" old", "no vllmd answers", "chat")
        chat.start()
        terminal.shows("live", "chat")
        terminal.press("q")
        wait_for("its end", terminal.ended)


def test_top_whose_terminal_is_gone_ends_although_it_ignores_that(tmp_path: Path) -> None:
    """As under nohup, when the connection of a person breaks."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    command = [str(VLLMD), "top", "--socket", str(tmp_path / "none.sock")]
    process = subprocess.Popen(
        ["setsid", "--ctty", "sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command],
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while b"quit" not in shown:
        shown += os.read(screen, 65536)
    os.close(screen)
    assert process.wait(60) == -signal.SIGHUP


def test_top_opens_an_engine_its_log_and_fits_a_terminal_that_changes(chat: Site) -> None:
    with top(chat) as terminal:
        terminal.shows("chat", "live")
        terminal.press("Enter")
        terminal.shows("State:", "The last ten minutes", "Esc back")
        terminal.resize(160, 48)
        terminal.shows("State:", "Why", "Log (l shows all)", "Application startup complete")
        terminal.press("l")
        terminal.shows("Application startup complete", "following")
        terminal.press("/")
        terminal.press("-l", "startup")
        terminal.press("Enter")
        terminal.shows("/startup", "Application startup complete")
        assert "Initializing" not in terminal.text()
        terminal.press("C-c")
        wait_for("its end", terminal.ended)
