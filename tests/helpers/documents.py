"""What the documentation's Markdown says: its links, its blocks, and the commands in them.

Of a block's language follows how it is checked. Of fragments: TOML without a table belongs to the
table that a heading above it names (`## [engines.NAME]`), an engine without a model has one, and
"…" stands for what is left out.
"""

import json
import re
import shlex
import socket
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import click
from markdown_it import MarkdownIt
from markdown_it.token import Token

from vllmd.cli.main import ALIASES, cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "runbooks").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*.md"),
        *(ROOT / "examples").glob("*/*.md"),
    ]
)
LEFT_OUT = "…"
_ENDS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", "done", "do", "|&"})
_BEFORE = _ENDS | {"$", "#", "sudo"}
_ENGINE = re.compile(r"^\[engines\.([a-z0-9_-]+)", re.MULTILINE)


@attrs.frozen
class Block:
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    text: str
    table: str
    """The table of a configuration that a heading above it names, such as `gpu`, or nothing."""

    @property
    def where(self) -> str:
        """Where it is, for a message."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages in one of these languages; an indented one is "sh"."""
    return [each for page in PAGES for each in _blocks(page) if each.language in languages]


def all_languages() -> set[str]:
    """Return what blocks are written in."""
    return {each.language for page in PAGES for each in _blocks(page)}


def _blocks(page: Path) -> Iterator[Block]:
    table = ""
    tokens = _tokens(page)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            if named := re.fullmatch(r"\[([\w.]+)\]", tokens[at + 1].content):
                table = named[1]
            elif token.tag <= "h2":
                table = ""
        elif token.type in ("fence", "code_block"):
            language = token.info.split(" ")[0] if token.type == "fence" else "sh"
            yield Block(page, (token.map or [0])[0] + 1, language, token.content, table)


def links(page: Path) -> Iterator[str]:
    """Yield where the links and pictures of a page lead to."""
    for token in _tokens(page):
        for child in token.children or ():
            target = child.attrs.get("href", child.attrs.get("src"))
            if isinstance(target, str):
                yield target


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    made = set()
    for token, text in pairwise(_tokens(page)):
        if token.type == "heading_open":
            inner = text.children or ()
            words = "".join(each.content for each in inner if each.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            again = found.get(slug, 0)
            made.add(f"{slug}-{again}" if again else slug)
            found[slug] = again + 1
    return frozenset(made)


def toml_of(block: Block) -> str:
    """Return a block of TOML as a whole configuration."""
    text = block.text
    if block.table and not text.lstrip().startswith("["):
        text = f"[{block.table.replace('NAME', 'chat')}]\n{text}"
    given = tomllib.loads(text).get("engines", {})
    for name in dict.fromkeys(_ENGINE.findall(text)):
        if "model" not in given.get(name, {}):
            head = f"[engines.{name}]"
            model = 'model = "org/model"\n'
            if f"{head}\n" in text:
                text = text.replace(f"{head}\n", f"{head}\n{model}", 1)
            else:
                text = f"{text}\n{head}\n{model}"
    for name in re.findall(r"^\[engines\.(\w+)\.group\]$", text, re.MULTILINE):
        text = _with_group(text, name)
    return text


def _with_group(text: str, name: str) -> str:
    """Complete a group of hosts that is shown in part; of its hosts, the first is this one."""
    text = text.replace('"gpu01"', json.dumps(socket.gethostname()))
    engine = tomllib.loads(text)["engines"][name]
    head = f"[engines.{name}.group]\n"
    if "hosts" not in engine["group"]:
        text = text.replace(head, f"{head}hosts = {json.dumps([socket.gethostname(), 'gpu02'])}\n")
    if "mode" not in engine["group"]:
        text = text.replace(head, f'{head}mode = "data"\n')
    elif engine["group"]["mode"] == "tensor" and "flags" not in engine:
        text += f"\n[engines.{name}.flags]\ntensor-parallel-size = 2\n"
    return text


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each `vllmd …` of a block of shell commands."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a here-document, or words with an apostrophe
            continue
        for at, word in enumerate(words):
            before = words[at - 1] if at else ""
            at_begin = not before or before in _BEFORE or "=" in before
            if at_begin and re.fullmatch(r"(\.venv/bin/)?vllmd", word):
                rest = words[at + 1 :]
                end = next((i for i, each in enumerate(rest) if each.rstrip(";") in _ENDS), None)
                found = [each.rstrip(";") for each in rest[:end]]
                yield found


def complaint(arguments: list[str]) -> str | None:
    """Return what the command line has against these arguments, without running anything."""
    command: click.Command = cli
    context = click.Context(cli, info_name="vllmd")
    words = [*ALIASES.get(arguments[0], (arguments[0],)), *arguments[1:]] if arguments else []
    if not words or words[0] in ("help", "--version"):
        return None
    while True:
        if LEFT_OUT in words:
            words = words[: words.index(LEFT_OUT)]
        try:
            options, rest, _ = command.make_parser(context).parse_args(list(words))
        except click.UsageError as error:
            return error.format_message()
        if not isinstance(command, click.Group):
            return _too_many(rest)
        if options.get("help") or not rest:
            return None
        below = command.get_command(context, rest[0])
        if below is None:
            return f"no command {rest[0]!r} of {context.command_path!r}"
        context = click.Context(below, parent=context, info_name=rest[0])
        command, words = below, rest[1:]


def _too_many(rest: list[Any]) -> str | None:
    return f"too many arguments: {rest}" if rest else None
