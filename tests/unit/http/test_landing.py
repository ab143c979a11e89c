from tests.helpers.make import status
from vllmd.http.landing import landing_page


def test_landing_page_shows_engines_and_escapes_them() -> None:
    page = landing_page([status(model="<script>")])
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert '<a href="/metrics">' in page
    assert "ready" in page
