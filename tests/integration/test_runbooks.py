"""Every command of every runbook, run as a person would who was just woken."""

import functools
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import Site
from tests.integration.conftest import COST, serving
from vllmd.http import runbook_pages

ENGINE, ADAPTER = "chat", "sql"
OTHER_ENGINE = """
[engines.embed]
model = "org/embed"
executable = "stand-in"
port = {port}
"""
IN_WORDS = re.compile(r"`([^`]+)`")
IN_A_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = frozenset(
    [
        "vllmd",
        "systemctl",
        "journalctl",
        "nvidia-smi",
        "modprobe",
        "ls",
        "df",
        "free",
        "ulimit",
        "kill",
        "promtool",
        "apt-mark",
        "hf",
    ]
)
"""What begins a command in a sentence; other words in backquotes are keys, labels and states."""
FIGURE = "1s"
"""Stands for the bound that a command leaves to the reader, as ``--ttft …``."""
ACTING = re.compile(r"vllmd (start|stop|restart|reload|lora|gpu re)")
NO_OTHERS = (75, "0 other replicas of chat are ready, and min_ready is 1")
NO_PROBE = (78, "the answers of chat are not looked at: add a table")
REFUSED = {
    "vllmd lora remove ADAPTER": (1, "sql is in the configuration: take it out of"),
    "vllmd ask --all": (1, "FAILED: embed is stopped"),
    "vllmd logs ENGINE --weights": (1, "chat has printed nothing yet"),
    "vllmd fleet restart ENGINE": NO_OTHERS,
    "vllmd probe ENGINE": NO_PROBE,
    "vllmd probe ENGINE --record": NO_PROBE,
}
"""Commands that fail where this test runs them: with which code, and what they say."""
SEPARATORS = frozenset({"|", "||", "&&", ";", "&", "(", ")"})
NEEDS = {"curl": ("--help", "all"), "ps": ("--help", "all")}
"""How a program is asked for all its options, where ``--help`` has the usual ones only."""


@attrs.frozen
class Told:
    """A command of a page, as it stands there."""

    page: str
    text: str

    @property
    def usable(self) -> str:
        """As it is typed: with the names of this site."""
        text = self.text.replace(runbook_pages.ENGINE, ENGINE).replace("ADAPTER", ADAPTER)
        return text.replace("…", FIGURE)


def commands() -> Iterator[Told]:
    """Yield the commands of all pages, in their order."""
    for name in runbook_pages.names():
        text = runbook_pages.read(name)
        assert text is not None
        for block in IN_A_SHELL.findall(text):
            for line in block.strip().splitlines():
                yield Told(name, re.sub(r"\s+# .*", "", line))
        for words in IN_WORDS.findall(IN_A_SHELL.sub("", text)):
            command = " ".join(words.split())
            if command.split()[0] in PROGRAMS and len(command.split()) > 1:
                yield Told(name, command)


ALL = list(commands())
OURS = list(
    dict.fromkeys(each for told in ALL for each in [told.text] if each.startswith("vllmd "))
)
OTHERS = [told for told in ALL if not told.text.startswith("vllmd ")]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A host with two engines, so that a command has to name the one that it means."""
    other = OTHER_ENGINE.format(port=free_port())
    with serving(tmp_path, more=COST + other) as made:
        made.vllmd("stop", "embed")  # the memory of the one GPU is for the other
        monkeypatch.setenv("VLLMD_CONFIG", str(made.config))
        monkeypatch.chdir(tmp_path)
        yield made


def test_every_command_of_ours_does_what_the_page_says(site: Site) -> None:
    """None may be refused as wrong, or fail within vllmd: it is typed at three in the morning."""
    assert len(OURS) > 40
    looking = [each for each in OURS if not ACTING.match(each)]
    acting = [each for each in OURS if ACTING.match(each)]
    failed = [said_of(site, text) for text in looking]
    for text in acting:
        failed.append(said_of(site, text))
        site.vllmd("start", ENGINE, "--wait", "--timeout", "60")
    assert [each for each in failed if each] == []


def said_of(site: Site, text: str) -> str:
    """Run a command; return what is wrong with how it ended, nothing if it is well."""
    result = site.vllmd(*shlex.split(Told("", text).usable)[1:])
    said = f"{text}: {result.returncode} {result.stdout}{result.stderr}"
    if "Traceback" in result.stderr:
        return said
    refused = REFUSED.get(text)
    if refused is None:
        return "" if result.returncode == 0 else said
    code, words = refused
    return "" if result.returncode == code and words in said else said


@pytest.mark.parametrize("told", OTHERS, ids=lambda told: f"{told.page}: {told.text}")
def test_command_of_another_program_is_shell_and_has_its_options(told: Told) -> None:
    checked = subprocess.run(
        ["bash", "-n", "-c", told.usable], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    for program, *words in simple_commands(told.usable):
        if shutil.which(program) is not None:
            known = help_of(program)
            for option in options_in(words):
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", known), f"{program} {option}"


def simple_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in a line of shell, the program first."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in SEPARATORS:
            if words:
                yield words
            words = []
        else:
            words.append(word)


def options_in(words: list[str]) -> Iterator[str]:
    """Yield each option by itself: ``-tn`` is two."""
    for word in words:
        if word.startswith("--"):
            yield word.partition("=")[0]
        elif re.fullmatch("-[A-Za-z]+", word):
            yield from (f"-{letter}" for letter in word[1:])


@functools.cache
def help_of(program: str) -> str:
    """Return what a program says of its options."""
    asked = [program, *NEEDS.get(program, ("--help",))]
    result = subprocess.run(asked, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr
