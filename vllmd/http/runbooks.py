"""The runbooks for a browser, such as the one of whoever was just woken."""

from html import escape

from markdown_it import MarkdownIt

from vllmd.http import runbook_pages
from vllmd.http.runbook_pages import ENGINE

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui;margin:2em auto;max-width:46em;padding:0 1em}}
pre{{background:#f3f3f3;padding:1em;overflow-x:auto}}</style>
</head><body>{body}<hr><p><a href="/runbooks/">All runbooks</a> · <a href="/">vllmd</a></p>
</body></html>
"""
_markdown = MarkdownIt("commonmark", {"html": False})


class Rendered:
    """The pages as they were made for the first who asked: to make one takes 10 ms."""

    def __init__(self) -> None:
        self._pages: dict[str, str] = {}

    def page(self, name: str, engine: str | None = None) -> str | None:
        """Return one page as HTML, its commands for that engine; None if there is none."""
        if name not in self._pages and (page := runbook(name)) is not None:
            self._pages[name] = page
        made = self._pages.get(name)
        return made if made is None or engine is None else made.replace(ENGINE, escape(engine))


def runbook(name: str) -> str | None:
    """Make one page as HTML; None if there is none of that name."""
    text = runbook_pages.read(name)
    if text is None:
        return None
    return _PAGE.format(title=escape(name), body=_markdown.render(text))


def contents() -> str:
    """Return the page that lists all of them."""
    items = "".join(
        f'<li><a href="/runbooks/{name}">{name}</a></li>' for name in runbook_pages.names()
    )
    return _PAGE.format(title="Runbooks", body=f"<h1>Runbooks</h1><ul>{items}</ul>")
