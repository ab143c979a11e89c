import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.make import DATA
from vllmd.scrape.families import parse_page
from vllmd.scrape.page_parser import PageParser

PAGES = sorted((DATA / "metrics").glob("*.prom"))
LINES = [
    b"# HELP vllm:a The first.",
    b"# TYPE vllm:a counter",
    b'vllm:a_total{engine="0"} 1',
    b'vllm:a_total{engine="0"} 2',
    b"vllm:a_created 5",
    b"# HELP vllm:b The second.",
    b"# TYPE vllm:b histogram",
    b'vllm:b_bucket{le="1"} 1',
    b"vllm:b_count 1",
    b"# TYPE vllm:b_count gauge",
    b"# HELP vllm:b_count One that looks like a part of another.",
    b"# HELP python_gc Not ours.",
    b"python_gc 3",
    b"# HELP vllm:lora_requests_info Adapters.",
    b'vllm:lora_requests_info{running_lora_adapters="x"} 1.5',
    b'vllm:lora_requests_info{running_lora_adapters="y"} 1.5',
    b"no sample, and no comment",
    b"# a comment",
    b"",
    b"  ",
]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_parse_of_pages_that_follow_each_other_is_as_if_each_came_alone(path) -> None:  # type: ignore[no-untyped-def]
    first = path.read_bytes()
    second = re.sub(rb"(vllm:num_requests_running\{[^}]*\}) \S+", rb"\1 17.0", first)
    assert second != first
    parser = PageParser("chat")
    for page in (first, first, second, first[: len(first) // 2], first):
        assert parser.parse(page) == parse_page(page, "chat")


def test_parse_takes_only_the_family_apart_that_has_changed() -> None:
    first = PAGES[-1].read_bytes()
    second = re.sub(rb"(vllm:num_requests_running\{[^}]*\}) \S+", rb"\1 17.0", first)
    parser = PageParser("chat")
    before = {family.name: family for family in parser.parse(first).families}
    after = {family.name: family for family in parser.parse(second).families}
    assert before.keys() == after.keys()
    others = [name for name, family in after.items() if family is not before[name]]
    assert others == [b"vllm:num_requests_running"]


@given(st.lists(st.lists(st.sampled_from(LINES), max_size=12), max_size=4))
def test_parse_of_any_pages_is_that_of_parse_page(pages: list[list[bytes]]) -> None:
    parser = PageParser("chat")
    for lines in pages:
        page = b"\n".join(lines)
        assert parser.parse(page) == parse_page(page, "chat")


def test_parse_of_what_is_no_utf8_says_so() -> None:
    with pytest.raises(UnicodeDecodeError):
        PageParser("chat").parse(b'# HELP vllm:x y\nvllm:x{a="\xff"} 1\n')
