"""Every command of vllmd's that a page or a message names exists, with its options."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from tests.helpers.each import of_each
from vllmd.cli.main import ALIASES, cli

ROOT = Path(__file__).parents[2]
IN_WORDS = re.compile(r"`vllmd ([a-z][^`\n]*)`")
IN_A_SHELL = re.compile(r"^(?:sudo )?(?:\.venv/bin/)?vllmd ([a-z][^#\n]*)", re.MULTILINE)
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_A_MESSAGE = re.compile(r"'vllmd ([a-z][^'\n]*)'")
ENDS = frozenset({"|", "||", "&&", ";", "(", ">", "2>"})


def in_pages() -> Iterator[tuple[str, str]]:
    """Yield each command with the page that names it."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for path in sorted([*pages, *(ROOT / "docs" / "reference").glob("*.md")]):
        text = path.read_text()
        for words in IN_WORDS.findall(FENCED.sub("", text)):
            yield path.name, words
        for block in FENCED.findall(text):
            for words in IN_A_SHELL.findall(block):
                yield path.name, words


def in_messages() -> Iterator[tuple[str, str]]:
    """Yield each command with the module that tells a person to run it."""
    for path in sorted((ROOT / "vllmd").rglob("*.py")):
        for words in IN_A_MESSAGE.findall(path.read_text()):
            yield str(path.relative_to(ROOT)), words


NAMED = sorted({*in_pages(), *in_messages()})


def unknown(words: list[str]) -> str | None:
    """Return what of a command does not exist."""
    found: click.Command = cli
    rest = list(words)
    if rest[0] in (*ALIASES, "help"):
        return None
    while rest and isinstance(found, click.Group):
        inner = found.get_command(click.Context(found), rest[0])
        if inner is None:
            left_open = re.match(r"-|…|\{|\[", rest[0]) or rest[0] in ENDS
            return None if left_open else f"no command {rest[0]}"
        found, rest = inner, rest[1:]
    known = {name for each in found.params for name in (*each.opts, *each.secondary_opts)}
    for word in rest:
        if word in ENDS:
            break
        option = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][\w.-]*", option) and option not in known | {"-h", "--help"}:
            return f"no option {option}"
    return None


def test_unknown_sees_a_command_and_an_option_that_do_not_exist() -> None:
    assert unknown(["events", "--engine", "chat"]) == "no option --engine"
    assert unknown(["lora", "drop", "sql"]) == "no command drop"
    assert unknown(["events", "chat", "--since", "1h"]) is None


def test_there_are_commands_in_pages_and_messages() -> None:
    assert len({words for _, words in in_pages()}) > 100
    assert len({words for _, words in in_messages()}) > 50


@of_each(NAMED)
def test_command_that_is_named_exists(named: tuple[str, str]) -> None:
    where, words = named
    if where == "vllmd/cli/import_.py" or words.startswith("import"):
        return  # it takes vLLM's own options
    problem = unknown(words.split())
    assert problem is None, f"{where}: vllmd {words}: {problem}"
