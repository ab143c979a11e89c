"""The runbooks: whole pages, whose commands and options exist."""

import re

import click
import pytest

from tests.helpers.each import of_each
from tests.helpers.panels import every_panel
from vllmd.cli.main import cli
from vllmd.http import runbook_pages
from vllmd.monitoring.dashboards import DASHBOARDS

SECTIONS = (
    "What it means",
    "How bad",
    "First look",
    "Likely causes, in order",
    "Fix",
    "Wake somebody else",
)
NAMES = runbook_pages.names()
IN_WORDS = re.compile(r"`vllmd ([^`]+)`")
IN_A_SHELL = re.compile(r"^vllmd ([^#\n]+)", re.MULTILINE)
TITLES = {
    panel["title"]
    for build in DASHBOARDS.values()
    for panel in (*build()["panels"], *every_panel(build()))
}
BOARDS = {build()["title"] for build in DASHBOARDS.values()}


def page(name: str) -> str:
    text = runbook_pages.read(name)
    assert text is not None
    return text


def section(text: str, name: str) -> str:
    return text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@of_each(NAMES)
def test_page_has_all_sections_and_none_is_empty(name: str) -> None:
    text = page(name)
    assert text.startswith(f"# {name}\n")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == list(SECTIONS)
    assert all(len(section(text, each).strip()) > 5 for each in SECTIONS)


@of_each(NAMES)
def test_every_command_and_option_of_ours_exists(name: str) -> None:
    before, shell, after = page(name).replace("```sh", "```").split("```")
    for words in [*IN_WORDS.findall(before + after), *IN_A_SHELL.findall(shell)]:
        exists(words.split())


def exists(words: list[str]) -> None:
    """Fail unless the words are a command of ours, and its options."""
    found: click.Command = cli
    context = click.Context(cli)
    rest = list(words)
    while rest and isinstance(found, click.Group):
        inner = found.get_command(context, rest[0])
        if inner is None and rest[0] == "--help":
            return
        if inner is None:
            assert found is not cli, f"no command {words}"
            break
        found, rest = inner, rest[1:]
    options = {option for parameter in found.params for option in parameter.opts}
    for word in rest:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, f"{word} in {words}"


@of_each(NAMES)
def test_every_command_that_needs_an_engine_names_the_one_that_is_meant(name: str) -> None:
    """Without a name `vllmd restart` ends with 2 where there are two engines."""
    text = runbook_pages.read(name, "embed")
    assert text is not None
    assert "ENGINE" not in text
    for words in [*IN_WORDS.findall(text), *IN_A_SHELL.findall(text)]:
        if re.match("start|stop|restart|logs|ask", words):
            of_all = re.match("logs -n|ask --all|ask -m ADAPTER", words)
            assert of_all or re.match(r"(\w+|ask -e) embed\b", words), words
        assert "chat" not in words, words


@of_each(NAMES)
def test_every_panel_and_dashboard_that_it_names_exists(name: str) -> None:
    look = section(page(name), "First look").partition("```sh")[2].partition("```")[2]
    named = [re.sub(r"\s+", " ", each) for each in re.findall(r"\*([^*]+)\*", look)]
    assert named or "`vllmd_" in look
    for each in named:
        assert each in TITLES | BOARDS or any(each in title for title in TITLES), each


@of_each(NAMES)
def test_every_cause_has_a_fix(name: str) -> None:
    numbers = re.findall(r"^(\d+)\. ", section(page(name), SECTIONS[3]), re.MULTILINE)
    fixed: set[int] = set()
    for line in re.findall(
        r"^(\d+)\. (?:(and|to) (\d+)\.)?", section(page(name), "Fix"), re.MULTILINE
    ):
        first, word, last = int(line[0]), line[1], int(line[2] or line[0])
        fixed |= set(range(first, last + 1)) if word == "to" else {first, last}
    assert fixed == {int(number) for number in numbers}


@of_each(NAMES)
def test_every_other_runbook_that_it_names_exists(name: str) -> None:
    for other in re.findall(r"\bVllmd[A-Z]\w+", page(name)):
        assert other in NAMES, other


@pytest.mark.parametrize("name", ["../vllmd", "VllmdDown.md", "", "Nothing", "a/b", "A" * 300])
def test_what_is_no_page_is_none(name: str) -> None:
    assert runbook_pages.read(name) is None
