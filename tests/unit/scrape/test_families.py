import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.make import DATA
from vllmd.scrape.families import merge, parse_page, total
from vllmd.scrape.render import render_text

PAGES = sorted((DATA / "metrics").glob("*.prom"))


def samples_of(
    text: str, label: str | None = None
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            if label is not None:
                assert labels.pop("vllmd_engine") == label
            found[sample.name, frozenset(labels.items())] = sample.value
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_parse_page_real_page_loses_nothing_that_is_passed_on(path) -> None:  # type: ignore[no-untyped-def]
    page = path.read_bytes()
    parsed = parse_page(page, "chat")
    ours = samples_of(render_text(parsed.families).decode(), "chat")
    theirs = {
        key: value
        for key, value in samples_of(page.decode()).items()
        if key[0].startswith(("vllm:", "http_"))
        and not key[0].endswith("_created")
        and key[0] != "vllm:lora_requests_info"
    }
    assert parsed.rejected_lines == 0
    assert len(ours) > 200
    assert ours == theirs


@pytest.mark.parametrize(
    "labels",
    [
        rb'model_name="a\"b\\c\nd"',
        rb'model_name="{},=#"',
        'model_name="Ünïcode 模型 🎈"'.encode(),
        b'model_name=""',
        b'a="1",b="2"',
    ],
)
def test_parse_page_label_values_come_out_byte_for_byte(labels: bytes) -> None:
    (family,) = parse_page(b"vllm:x{" + labels + b"} 1.5e+09\n", "chat").families
    assert family.samples == [b'vllm:x{vllmd_engine="chat",' + labels + b"} 1.5e+09"]


def test_parse_page_sample_without_labels_gets_one() -> None:
    (family,) = parse_page(b'vllm:x 1\nvllm:x{} 2\nvllm:x{a="1",} 3 1700000000\n', "e").families
    assert family.samples == [
        b'vllm:x{vllmd_engine="e"} 1',
        b'vllm:x{vllmd_engine="e"} 2',
        b'vllm:x{vllmd_engine="e",a="1"} 3',
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"vllm:x",
        b"vllm:x one",
        b'vllm:x{a="1} 1',
        b'vllm:x{a="1"b="2"} 1',
        b"vllm:x 1 2 3",
    ],
)
def test_parse_page_line_that_is_no_sample_is_counted_and_left_out(line: bytes) -> None:
    parsed = parse_page(line + b"\nvllm:y 1\n", "e")
    assert parsed.rejected_lines == 1
    assert [f.name for f in parsed.families] == [b"vllm:y"]


def test_parse_page_not_utf8_is_unreadable() -> None:
    with pytest.raises(UnicodeDecodeError):
        parse_page(b"vllm:x 1 \xff", "e")


def test_parse_page_histogram_named_total_keeps_its_samples() -> None:
    page = (
        b"# HELP vllm:iteration_tokens_total h\n# TYPE vllm:iteration_tokens_total histogram\n"
        b'vllm:iteration_tokens_total_bucket{le="+Inf"} 1\n'
        b"vllm:iteration_tokens_total_sum 1\nvllm:iteration_tokens_total_count 1\n"
    )
    (family,) = parse_page(page, "e").families
    assert (family.type, len(family.samples)) == (b"histogram", 3)


def test_merge_puts_each_family_once() -> None:
    page = b"# TYPE vllm:x counter\nvllm:x_total 1\n# TYPE vllm:y gauge\nvllm:y 1\n"
    merged = merge([parse_page(page, "a").families, parse_page(page, "b").families])
    names = [f.name for f in merged]
    assert len(names) == len(set(names))
    (y,) = (f for f in merged if f.name == b"vllm:y")
    assert y.samples == [b'vllm:y{vllmd_engine="a"} 1', b'vllm:y{vllmd_engine="b"} 1']


def test_merge_contradicting_type_is_left_out() -> None:
    one = parse_page(b"# TYPE vllm:y gauge\nvllm:y 1\n", "a").families
    two = parse_page(b"# TYPE vllm:y counter\nvllm:y 1\n", "b").families
    (y,) = merge([one, two])
    assert (y.type, len(y.samples)) == (b"gauge", 1)


@pytest.mark.parametrize("labels", ['le="1",a="x",le="2"', 'vllmd_engine="other"', 'a="1",a="1"'])
def test_parse_sample_with_a_label_twice_is_left_out(labels: str) -> None:
    """Found by `make fuzz`: Prometheus refuses a whole page for one such line."""
    page = f'vllm:a{{{labels}}} 1\nvllm:a{{a="b,a=",c="le=\\"x\\""}} 2\n'.encode()
    parsed = parse_page(page, "chat")
    assert parsed.rejected_lines == 1
    [family] = parsed.families
    assert [sample[-1:] for sample in family.samples] == [b"2"]
    assert samples_of(render_text(parsed.families).decode(), "chat")


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1.0", "1e300"])
def test_total_leaves_out_what_is_no_count(value: str) -> None:
    """It is reckoned with in whole numbers, and shown as JSON, which has neither."""
    lines = f'# TYPE vllm:a counter\nvllm:a_total{{engine="0"}} {value}\n'
    assert total(parse_page(lines.encode(), "chat").families, b"vllm:a_total") is None
    more = f'{lines}vllm:a_total{{engine="1"}} 3.0\n'
    assert total(parse_page(more.encode(), "chat").families, b"vllm:a_total") == 3.0
