"""A terminal that runs commands and becomes a picture: an SVG without anything from elsewhere."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

ROWS = 50
FONTS = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'


class Terminal:
    """Runs one command after the other, each as somebody typed it, and keeps what was printed."""

    def __init__(self, columns: int, env: Mapping[str, str]) -> None:
        self._columns = columns
        self._env = {**os.environ, **env, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self._env.pop("NO_COLOR", None)
        self._console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)

    def run(self, command: str) -> str:
        """Run a command of the shell, and return what it printed."""
        typed = Text.assemble(("$ ", "bold green"), (command, "bold"))
        self._console.print(typed, soft_wrap=True)
        printed = self._run(command).replace("\r\n", "\n")
        if printed:
            self._console.print(Text.from_ansi(printed.rstrip("\n")), soft_wrap=True)
        self._console.print()
        return printed

    def _run(self, command: str) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, self._columns, 0, 0))
        with subprocess.Popen(
            ["bash", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, env=self._env
        ):
            os.close(theirs)
            content = b""
            while block := _read(ours):
                content += block
        os.close(ours)
        return content.decode()

    def svg(self, name: str, title: str) -> str:
        """Return the picture; `name` is in the names of its styles, `title` is on its window."""
        return self_contained(self._console.export_svg(title=title, unique_id=name))


def self_contained(svg: str) -> str:
    """Return a picture of rich without the fonts that it would load from elsewhere."""
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _read(descriptor: int) -> bytes:
    """Read what there is; nothing once all who had the other end have closed it."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # EIO. Source: pty(7) of Linux: the other end was closed
        return b""
