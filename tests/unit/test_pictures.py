"""Pictures of the documentation: small, and without anything from elsewhere."""

import re

import pytest

from tools.pictures.__main__ import TARGET
from tools.pictures.terminal import Terminal

MOST_BYTES = 5_000_000
OF_SVG = {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
"""What an SVG names and does not load: its own kind, and in a comment who wrote it."""


def addresses(svg: str) -> set[str]:
    """Return what is named outside of the words that are shown."""
    drawn = re.sub(r">[^<>\n]*</text>", "></text>", svg)
    return set(re.findall(r"https?://[^\s\"'<>)]+", drawn))


def test_pictures_are_small_and_those_that_the_documentation_names() -> None:
    found = {path.name: path.stat().st_size for path in TARGET.iterdir()}
    assert {"why.svg", "page.png", "overview.png"} <= set(found)
    assert sum(found.values()) < MOST_BYTES


@pytest.mark.parametrize("name", sorted(path.name for path in TARGET.glob("*.svg")))
def test_picture_of_a_terminal_loads_nothing(name: str) -> None:
    text = (TARGET / name).read_text()
    assert addresses(text) <= OF_SVG
    assert "<script" not in text
    assert "@import" not in text


def test_terminal_shows_what_was_typed_and_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(40, {})
    monkeypatch.setattr(terminal, "_run", lambda _: "\x1b[32mready\x1b[0m <now>\r\n")
    assert terminal.run("vllmd status") == "\x1b[32mready\x1b[0m <now>\n"
    svg = terminal.svg("status", "gpu-01")
    texts = [text.replace("&#160;", " ") for text in re.findall(r">([^<>\n]+)</text>", svg)]
    assert texts == ["gpu-01", "$ ", "vllmd status", "ready", " &lt;now&gt;"]
    assert addresses(svg) <= OF_SVG
    assert "@font-face" not in svg
