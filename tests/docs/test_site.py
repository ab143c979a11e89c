"""The site as files: whole, nothing of it from a network, and its search works.

The pictures are in `build/docs/pictures`, for a person to look at.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.browser import Browser, Tab
from tests.helpers.documents import PAGES, ROOT

VIEWS = [(1440, 900, False), (1440, 900, True), (390, 844, False), (390, 844, True)]
LOADED = re.compile(r'<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)="([^"]+)"')
SHOWN = {
    "start": "index.html",
    "troubleshoot": "troubleshoot.html",
    "metrics": "reference/metrics.html",
    "configuration": "reference/configuration.html",
    "search": "search.html?q=out+of+memory",
}


def opened(browser: Browser, site: Path, page: str) -> Tab:
    tab = Tab(browser)
    tab.look(1440, 900)
    path, _, query = page.partition("?")
    tab.open(f"{(site / path).as_uri()}{f'?{query}' if query else ''}")
    if query:
        tab.wait_for("document.querySelectorAll('ul.search li').length > 0")
    return tab


def test_every_page_of_the_repository_is_on_the_site(site: Path) -> None:
    docs = ROOT / "docs"
    for page in PAGES:
        if docs in page.parents:
            assert (site / page.relative_to(docs).with_suffix(".html")).is_file(), page


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 70
    for page in pages:
        for target in LOADED.findall(page.read_text()):
            assert not urlsplit(target).scheme, f"{page.name}: {target}"
            assert not target.startswith("//"), f"{page.name}: {target}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("name", SHOWN)
def test_page_is_shown_from_a_file(browser: Browser, site: Path, pictures: Path, name: str) -> None:
    tab = opened(browser, site, SHOWN[name])
    for width, height, dark in VIEWS:
        tab.look(width, height, dark=dark)
        assert tab.value("document.documentElement.scrollWidth <= innerWidth"), f"{width} px"
        kind = f"{width}-{'dark' if dark else 'light'}"
        tab.screenshot(pictures / f"{name}-{kind}.png", whole=False)
    asked = tab.addresses()
    assert asked
    assert {urlsplit(each).scheme for each in asked} <= {"file", "data"}, asked
    assert tab.problems() == []
    tab.close()


@pytest.mark.parametrize(
    ("words", "page", "excerpt"),
    [
        ("VllmdEngineStalled", "runbooks/VllmdEngineStalled.html", "vllmdenginestalled"),
        ("vllmd_engine_up", "reference/metrics.html#vllmd-engine-up", "vllmd_engine_up"),
        ("gpu_stall_s", "reference/configuration.html#liveness-gpu-stall-s", "gpu_stall_s"),
        ("cuda_out_of_memory", "reference/causes.html#cuda-out-of-memory", "cuda_out_of_memory"),
        ("restart margin", "gpu.html", "margin"),
        ("out of memory", "reference/causes.html", "out of memory"),
    ],
)
def test_search_finds_and_shows_what_stands_there(
    browser: Browser, site: Path, words: str, page: str, excerpt: str
) -> None:
    tab = opened(browser, site, f"search.html?q={words.replace(' ', '+')}")
    found = "[...document.querySelectorAll('ul.search a')].map(each => each.getAttribute('href'))"
    tab.wait_for(f"{found}.some(each => each.startsWith({page!r}))")
    shown = "[...document.querySelectorAll('ul.search p.context')].map(each => each.textContent)"
    tab.wait_for(f"{shown}.length === document.querySelectorAll('ul.search li').length")
    assert tab.value(f"{shown}.some(each => each.toLowerCase().includes({excerpt!r}))")
    assert not tab.value(f"{shown}.some(each => each.includes('<!--'))")
    assert tab.problems() == []
    tab.close()
