import pytest

from tests.helpers.make import DATA
from vllmd.engine.loading.memory_sizes import parse_size
from vllmd.util.units import GIB


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "h200-0.25-serve-and-stop.log",
            {
                "weights": round(15.27 * GIB),
                "kv_cache": round(53.56 * GIB),
                "kv_cache_tokens": 390_032,
            },
        ),
        ("cpu-0.32-sigterm-idle.log", {"kv_cache": GIB, "kv_cache_tokens": 2_097_152}),
    ],
)
def test_sizes_are_found_in_real_logs(log: str, expected: dict[str, int]) -> None:
    lines = (DATA / "engine-logs" / log).read_text().splitlines()
    found = dict(size for line in lines if (size := parse_size(line)))
    assert found == expected


def test_graphs_have_a_size() -> None:
    line = "INFO 11-23 19:04:27 [x.py:1] Graph capturing finished in 12 secs, took 0.51 GiB"
    assert parse_size(line) == ("graphs", round(0.51 * GIB))


def test_other_lines_say_nothing() -> None:
    assert parse_size("INFO Avg prompt throughput: 17.2 tokens/s, 5 GiB of RAM") is None
