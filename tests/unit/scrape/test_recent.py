import pytest

from tests.helpers.make import DATA
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page
from vllmd.scrape.recent import KEPT_S, MAX_PAGES, RecentPages
from vllmd.util.units import KIB


def page(text: bytes) -> Page:
    return Page(parse_page(text, "chat").families, 0, len(text), 0.0, 0.1)


def test_dump_shows_each_page_below_its_time_without_buckets() -> None:
    recent = RecentPages()
    text = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_bytes()
    recent.add(page(text), 0.0)
    recent.add(page(b"vllm:x 7\n"), 5.0)
    first, second = recent.dump().split(b"\n\n")
    assert first.startswith(b"# 1970-01-01T00:00:00.000000Z\n")
    assert b"vllm:num_requests_running{" in first
    assert b"_bucket" not in first
    assert second == b'# 1970-01-01T00:00:05.000000Z\nvllm:x{vllmd_engine="chat"} 7\n'


@pytest.mark.long
def test_pages_are_bounded_in_time_number_and_memory() -> None:
    recent = RecentPages()
    text = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_bytes()
    for n in range(MAX_PAGES + 10):
        recent.add(page(text), float(n))
    assert recent.dump().count(b"# ") == MAX_PAGES
    assert sum(len(packed) for _, packed in recent._pages) < MAX_PAGES * 6 * KIB
    recent.add(page(text), MAX_PAGES + 10 + KEPT_S)
    assert recent.dump().count(b"# ") == 1
