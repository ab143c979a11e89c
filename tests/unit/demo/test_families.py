import re
from collections import defaultdict

from tests.helpers.make import DATA
from vllmd.demo.families import ROWS

PAGE = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_text()


def test_rows_are_the_families_of_the_real_page() -> None:
    types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", PAGE, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", PAGE, re.MULTILINE))
    real = {
        name: (kind, helps[name])
        for name, kind in types.items()
        if not name.startswith(("python_", "process_")) and not name.endswith("_created")
    }
    assert {row.name: (row.type, row.help) for row in ROWS} == real


def test_rows_have_the_buckets_of_the_real_page() -> None:
    real: dict[str, set[float]] = defaultdict(set)
    for name, bound in re.findall(r'^(\S+)_bucket\{.*?le="([^"+]+)"', PAGE, re.MULTILINE):
        real[name].add(float(bound))
    assert {row.name: set(row.buckets) for row in ROWS if row.buckets} == real
