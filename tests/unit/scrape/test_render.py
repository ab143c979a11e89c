from collections.abc import Iterable

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.helpers.make import DATA
from vllmd.scrape.families import Family, parse_page
from vllmd.scrape.render import Renderer, render_openmetrics, render_text


def test_render_text_writes_help_type_and_samples() -> None:
    family = Family(b"vllm:x_total", b"counter", b"Some \\n help", [b'vllm:x_total{a="1"} 1'])
    assert render_text([family]) == (
        b'# HELP vllm:x_total Some \\n help\n# TYPE vllm:x_total counter\nvllm:x_total{a="1"} 1\n'
    )


def test_render_openmetrics_names_a_counters_family_without_total() -> None:
    family = Family(b"vllm:x_total", b"counter", b'Say "x"', [b"vllm:x_total 1"])
    assert render_openmetrics([family]) == (
        b'# HELP vllm:x Say \\"x\\"\n# TYPE vllm:x counter\nvllm:x_total 1\n'
    )


def test_render_openmetrics_counter_without_total_is_unknown() -> None:
    families = [Family(b"vllm:x", b"counter", b""), Family(b"vllm:y", b"untyped", b"")]
    text = render_openmetrics(families)
    assert b"# TYPE vllm:x unknown" in text
    assert b"# TYPE vllm:y unknown" in text


def test_render_openmetrics_real_page_passes_a_strict_parser() -> None:
    for path in (DATA / "metrics").glob("*.prom"):
        parsed = parse_page(path.read_bytes(), "chat")
        text = render_openmetrics(parsed.families).decode() + "# EOF\n"
        families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
        assert len(families) == len(parsed.families)


def test_renderer_writes_again_only_what_has_changed() -> None:
    written: list[bytes] = []

    def render(families: Iterable[Family]) -> bytes:
        written.extend(family.name for family in families)
        return b"%d" % len(written)

    def page(*values: int) -> list[Family]:
        return [
            Family(name, b"gauge", b"", [b"%s %d" % (name, value)])
            for name, value in zip((b"a", b"b"), values, strict=False)
        ]

    renderer = Renderer(render)
    assert list(renderer.render(page(1, 2))) == [b"1", b"2"]
    assert list(renderer.render(page(1, 3))) == [b"1", b"3"]
    assert written == [b"a", b"b", b"b"]
    list(renderer.render(page(1)))
    assert list(renderer.render(page(1, 3))) == [b"1", b"4"]  # it was gone meanwhile
