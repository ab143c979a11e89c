"""The runbooks: one page for each alert, kept beside the program that the alert is about."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "runbooks"
ENGINE = "ENGINE"
"""Stands in a page for the engine that the alert is about."""


def names() -> list[str]:
    """Return the names of all pages."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read(name: str, engine: str | None = None) -> str | None:
    """Return a page as Markdown, its commands for that engine; None if there is none of that name.

    Where no engine is meant, the commands say `ENGINE`.
    """
    if not re.fullmatch(r"[A-Za-z]{1,100}", name):  # a longer one is no name of a file
        return None
    try:
        text = (FOLDER / f"{name}.md").read_text()
    except FileNotFoundError:
        return None
    return text if engine is None else text.replace(ENGINE, engine)
