"""The runbooks in a browser."""

import re

import pytest

from vllmd import runbook_pages
from vllmd.http.runbooks import contents, runbook


@pytest.mark.parametrize("name", runbook_pages.names())
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
