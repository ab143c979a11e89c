"""What commands print on a terminal: of its width, without colours or beyond ASCII where asked."""

import os
import pty
import re
import shlex
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import VLLMD, Site, wait_for
from tests.integration.conftest import COST, serving

OTHER_ENGINE = """
[engines.embed]
model = "org/embed"
executable = "/nothing/vllm"
port = {port}
"""
"""It cannot start, so that there is something to be told of it."""
COMMANDS = (
    "status",
    "status chat",
    "status embed",
    "why",
    "gpu",
    "traces",
    "cost",
    "events",
    "lora list",
    "ask --all",
    "doctor --offline",
    "check",
    "check --deep --offline",
    "rules list",
    "runbook VllmdEngineDown",
    "reload",
    "start nobody",
    "logs nobody",
    "engine flags",
    "completion show tcsh",
    "nothing",
    "--help",
    "logs --help",
)
COLUMNS = 80
TO_COPY = re.compile(r" serve |=\S+$| /\S+$")
"""A command line, a variable or a path, which are shown as they would be typed."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A host with one engine that serves, and one that cannot start."""
    with serving(tmp_path, more=COST + OTHER_ENGINE.format(port=free_port())) as site:
        monkeypatch.setenv("VLLMD_CONFIG", str(site.config))
        yield site


def shown(command: str, **env: str) -> str:
    """Return what a command prints on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, COLUMNS))
    usual = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "", "NO_COLOR": ""}
    process = subprocess.Popen(
        [str(VLLMD), *shlex.split(command)],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**os.environ, **usual, **env},
    )
    os.close(follower)
    printed = b"".join(_read(leader))
    os.close(leader)
    assert process.wait() not in (70, -6), command
    return printed.decode().replace("\r\n", "\n")


def _read(leader: int) -> Iterator[bytes]:
    """Yield what is printed until the program has closed its terminal."""
    while True:
        try:
            piece = os.read(leader, 1 << 16)
        except OSError:  # EIO: how Linux tells the end of a pseudo-terminal
            return
        if not piece:
            return
        yield piece


def test_commands_follow_the_terminal(made: Site) -> None:
    told = "embed: "
    wait_for("a word of embed", lambda: told in made.vllmd("status").stdout, timeout_s=120.0)
    wide = []
    for command in COMMANDS:
        usual = shown(command)
        assert "Traceback" not in usual, command
        for line in COLOURS.sub("", usual).splitlines():
            longest = max(map(len, line.split()), default=0)
            if len(line) > COLUMNS and longest < COLUMNS - 10 and not TO_COPY.search(line):
                wide.append(f"{command}: {line}")
    assert wide == []
    for command in COMMANDS:
        plain = shown(command, LANG="C", NO_COLOR="1")
        assert "\x1b" not in plain, command
        assert plain.isascii(), (command, plain)
    assert "\x1b" in shown("status")
    assert "\x1b" not in shown("status", TERM="dumb")
