import pytest

from tests.helpers.make import DATA
from vllmd.engine.loading.phases import ORDER, SPANS, further, is_waiting_notice, parse_phase

LOGS = DATA / "engine-logs"


@pytest.mark.parametrize(
    ("log", "seen"),
    [
        (
            "cpu-0.32-sigterm-idle.log",
            ["init", "weights", "profile", "kv_cache", "warm_up", "listening"],
        ),
        (
            "h200-0.25-serve-and-stop.log",
            ["init", "weights", "profile", "kv_cache", "warm_up", "listening"],
        ),
        ("cpu-0.32-model-not-found.log", ["init"]),
    ],
)
def test_further_follows_a_real_log(log: str, seen: list[str]) -> None:
    phase: str | None = None
    phases: list[str | None] = []
    for line in (LOGS / log).read_text(errors="replace").splitlines():
        after = further(phase, parse_phase(line))
        if after != phase:
            phases.append(after)
        phase = after
    assert phases == seen


def test_further_never_goes_back() -> None:
    assert further("kv_cache", parse_phase("Starting to load model x...")) == "kv_cache"


def test_parse_phase_other_line_is_none() -> None:
    assert parse_phase("INFO: 127.0.0.1 - GET /health") is None
    assert list(ORDER) == [
        *("init", "download", "weights", "profile", "compile"),
        *("kv_cache", "graphs", "warm_up", "listening"),
    ]


def test_spans_of_a_recorded_start_lead_to_phases() -> None:
    """The names in the recorded payloads; what one does not know is passed over."""
    recorded = b"".join(path.read_bytes() for path in sorted((DATA / "otlp").glob("startup-*.bin")))
    seen = {name for name in SPANS if name.encode() in recorded}
    assert set(SPANS) - seen == {"Init device", "Capture model"}  # seen on an H200 only
    assert set(SPANS.values()) <= set(ORDER)


def test_is_waiting_notice_a_process_that_waits_makes_no_progress() -> None:
    line = "(EngineCore pid=1) INFO 11-23 18:49:18 [shm_broadcast.py:1] No available shared memory "
    assert is_waiting_notice(line + "broadcast block found in 60 seconds. This typically happens")
    assert not is_waiting_notice("Loading safetensors checkpoint shards:   0% Completed | 0/1")
