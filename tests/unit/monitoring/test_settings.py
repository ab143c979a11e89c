"""One place for thresholds: what is refused, and that each reaches a rule."""

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from vllmd.errors import VllmdError
from vllmd.monitoring.settings import (
    ITL_BUCKETS_S,
    TTFT_BUCKETS_S,
    RuleSettings,
    le,
    number,
    quoted,
)
from vllmd.monitoring.written import rule_files

DATA = Path(__file__).parents[2] / "data"
OTHERS: dict[str, Any] = {
    "job": "gpu-hosts",
    "severity_label": "level",
    "runbooks": "https://wiki.example.org/vllmd",
    "ttft_s": 5.0,
    "ttft_target": 0.95,
    "itl_s": 0.2,
    "itl_target": 0.9,
    "queue_s": 77.0,
    "not_ready": "77m",
    "restarts": 77,
    "errors_ratio": 0.077,
    "preemptions_ratio": 0.077,
    "kv_ratio": 0.77,
    "orphan_bytes": 777,
    "foreign_bytes": 777,
    "leak_bytes": 777,
    "host_leak_bytes": 777,
    "disk_ratio": 0.077,
    "disk_filling_ratio": 0.077,
    "late_s": 7.7,
}


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(RuleSettings)])
def test_every_setting_changes_a_rule(name: str) -> None:
    assert rule_files(RuleSettings(**{name: OTHERS[name]})) != rule_files(RuleSettings())


@pytest.mark.parametrize("name", ["ttft_s", "itl_s"])
def test_bound_that_no_histogram_has_is_refused_with_those_near_it(name: str) -> None:
    value: Any = 3.0
    with pytest.raises(VllmdError, match=r"3s: vLLM's histogram has no bound there.*2\.5s, 5s"):
        RuleSettings(**dict.fromkeys([name], value))


@pytest.mark.parametrize(
    ("family", "known"),
    [
        ("vllm:time_to_first_token_seconds", TTFT_BUCKETS_S),
        ("vllm:inter_token_latency_seconds", ITL_BUCKETS_S),
    ],
)
def test_buckets_are_those_of_recorded_pages(family: str, known: tuple[float, ...]) -> None:
    pages = sorted((DATA / "metrics").glob("*.prom"))
    assert len(pages) >= 2
    for page in pages:
        found = re.findall(rf'^{family}_bucket{{.*le="([\d.]+)"', page.read_text(), re.MULTILINE)
        assert tuple(sorted({float(bound) for bound in found})) == known, page.name


def test_bound_matches_both_ways_of_writing_it() -> None:
    assert le(2.5) == 'le="2.5"'
    pattern = re.fullmatch(r'le=~"(.*)"', le(5.0))
    assert pattern is not None
    unescaped = pattern[1].replace("\\\\", "\\")
    assert re.fullmatch(unescaped, "5.0")
    assert re.fullmatch(unescaped, "5")
    assert not re.fullmatch(unescaped, "5x0")


def test_numbers_and_strings_are_as_promql_has_them() -> None:
    assert (number(10.0), number(3), number(0.05)) == ("10", "3", "0.05")
    assert quoted('a"b') == r'"a\"b"'
