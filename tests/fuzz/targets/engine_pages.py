"""The metrics page of an engine: taken apart, passed on, and read by Prometheus's own parser."""

from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.fuzz.target import Target
from tests.helpers.make import DATA
from vllmd.scrape.derived import derive
from vllmd.scrape.families import merge, parse_page
from vllmd.scrape.page_parser import PageParser
from vllmd.scrape.peak import Peaks
from vllmd.scrape.render import render_openmetrics, render_text


def _run(data: bytes) -> None:
    parser = PageParser("chat")
    try:
        parsed = parser.parse(data)
    except UnicodeDecodeError:
        return
    assert parsed == parse_page(data, "chat")
    assert parser.parse(data) == parsed
    peaks = Peaks()
    peaks.note(parsed.families)
    derived = derive(parsed.families, parsed.lora, "chat", ("sql",), {})
    families = merge([[*parsed.families, *derived, peaks.family()]])
    text = render_text(families)
    assert text.count(b"\n# TYPE ") <= len(families)
    list(read_text(text.decode()))
    render_openmetrics(families)


def _corpus() -> list[bytes]:
    pages = [path.read_bytes() for path in sorted((DATA / "metrics").glob("*.prom"))]
    parts = [b"# HELP " + part for part in pages[-1].split(b"# HELP ") if b"vllm:" in part]
    return [*parts, b"".join(parts[:6]), *pages]


TARGET = Target(
    "engine_page",
    _run,
    _corpus,
    scraps=(
        *(
            b"# HELP vllm:a b\n",
            b"# TYPE vllm:a counter\n",
            b"# TYPE vllm:a histogram\n",
            b"vllm:a_bucket",
        ),
        *(
            b'{le="+Inf"} 1\n',
            b'{a="\\n\\"\\\\"} NaN\n',
            b" +Inf\n",
            b" -Inf\n",
            b'vllmd_engine="x"',
            b"# EOF\n",
        ),
        *(b'vllm:lora_requests_info{running_lora_adapters="a,b"} 1e300\n', b'vllm:a{b=""} 1 99\n'),
    ),
)
