"""The runbooks: one page for each alert, kept beside the program that the alert is about."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "runbooks"


def names() -> list[str]:
    """Return the names of all pages."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read(name: str) -> str | None:
    """Return a page as Markdown; None if there is none of that name."""
    if not re.fullmatch(r"[A-Za-z]{1,100}", name):  # a longer one is no name of a file
        return None
    try:
        return (FOLDER / f"{name}.md").read_text()
    except FileNotFoundError:
        return None
