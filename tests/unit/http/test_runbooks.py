"""The runbooks in a browser."""

import re

from tests.helpers.each import of_each
from vllmd.http import runbook_pages
from vllmd.http.runbooks import Rendered, contents, runbook


@of_each(runbook_pages.names())
def test_page_is_html_of_its_markdown(name: str) -> None:
    page = runbook(name)
    assert page is not None
    assert f"<h1>{name}</h1>" in page
    assert page.count("<h2>") == 6
    assert "<pre><code" in page
    assert "<script" not in page


def test_contents_lead_to_every_page() -> None:
    links = re.findall(r'href="/runbooks/(\w+)"', contents())
    assert links == runbook_pages.names()


def test_what_is_no_page_is_none() -> None:
    assert runbook("Nothing") is None


def test_rendered_page_is_made_once() -> None:
    """To make one takes 10 ms: who asks over and over would hold up all others."""
    rendered = Rendered()
    page = rendered.page("VllmdDown")
    assert page == runbook("VllmdDown")
    assert rendered.page("VllmdDown") is page
    assert rendered.page("Nothing") is None
    assert rendered.page("Nothing", "chat") is None
    assert list(rendered._pages) == ["VllmdDown"]


def test_rendered_page_has_the_engine_that_is_meant() -> None:
    rendered = Rendered()
    page = rendered.page("VllmdEngineDown", "embed") or ""
    assert "vllmd logs embed --since 15m" in page
    assert "ENGINE" not in page
    assert "vllmd logs ENGINE" in (rendered.page("VllmdEngineDown") or "")
    assert "<b>" not in (rendered.page("VllmdEngineDown", "<b>") or "")
