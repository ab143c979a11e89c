import pytest

from tests.helpers.make import DATA
from vllmd.engine.phases import ORDER, later_phase, parse_phase

LOGS = DATA / "engine-logs"


@pytest.mark.parametrize(
    ("log", "seen"),
    [
        (
            "cpu-0.32-sigterm-idle.log",
            ["init", "weights", "weights_loaded", "kv_cache", "listening"],
        ),
        (
            "h200-0.25-serve-and-stop.log",
            ["init", "weights", "weights_loaded", "kv_cache", "listening"],
        ),
        ("cpu-0.32-model-not-found.log", ["init"]),
    ],
)
def test_later_phase_follows_a_real_log(log: str, seen: list[str]) -> None:
    phase: str | None = None
    phases: list[str | None] = []
    for line in (LOGS / log).read_text(errors="replace").splitlines():
        after = later_phase(phase, [line])
        if after != phase:
            phases.append(after)
        phase = after
    assert phases == seen


def test_later_phase_never_goes_back() -> None:
    assert later_phase("kv_cache", ["Starting to load model x..."]) == "kv_cache"


def test_parse_phase_other_line_is_none() -> None:
    assert parse_phase("INFO: 127.0.0.1 - GET /health") is None
    assert set(ORDER) == {"init", "weights", "weights_loaded", "kv_cache", "graphs", "listening"}
