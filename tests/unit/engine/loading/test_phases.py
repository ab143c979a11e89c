import pytest

from tests.helpers.make import DATA
from vllmd.engine.loading.phases import (
    ORDER,
    SPANS,
    LoadOutput,
    further,
    is_waiting_notice,
    parse_phase,
)

LOGS = DATA / "engine-logs"


def read(log: str) -> tuple[list[str], LoadOutput]:
    """Return the phases that a log leads through, and what has read it."""
    output, phase, phases = LoadOutput(), None, []
    for line in (LOGS / log).read_text(errors="replace").splitlines():
        for reached in output.read(line):
            after = further(phase, reached.phase)
            if after is not None and after != phase:
                phases.append(after)
            phase = after
    return phases, output


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
        # ends that are no phase: nothing of the traceback leads further
        ("h200-0.25-gpu-memory-held-by-orphan.log", ["init"]),
        ("h200-0.25-kv-cache-too-small.log", ["init", "weights", "profile", "kv_cache"]),
        (
            "h200-0.25-graphs-and-lora.log",
            [
                *("init", "weights", "profile", "compile", "kv_cache"),
                *("graphs", "warm_up", "listening"),
            ],
        ),
    ],
)
def test_further_follows_a_real_log(log: str, seen: list[str]) -> None:
    assert read(log)[0] == seen


@pytest.mark.parametrize(
    ("log", "failed"),
    [
        ("h200-0.25-gpu-memory-held-by-orphan.log", True),
        ("h200-0.25-kv-cache-too-small.log", True),
        ("h200-0.25-graphs-and-lora.log", False),
        ("cpu-0.32-sigterm-idle.log", False),
    ],
)
def test_a_start_that_fails_says_so(log: str, failed: bool) -> None:
    assert read(log)[1].failed is failed


@pytest.mark.parametrize(
    ("line", "reached"),
    [
        ("Dynamo bytecode transform time: 12.94 s", [("compile", 12.94)]),
        ("Compiling a graph for compile range (1, 8192) takes 17.39 s", [("compile", 17.39)]),
        ("torch.compile took 39.80 s in total", [("compile", 39.8)]),
        ("Directly load AOT compilation from path /x", [("compile", 0.0)]),
        (
            "Graph capturing finished in 31 secs, took 0.98 GiB",
            [("graphs", 31.0), ("warm_up", 0.0)],
        ),
        ("Capturing CUDA graphs (PIECEWISE):   4%|4 | 4/102", [("graphs", 0.0)]),
        ("Maximum concurrency for 8,192 tokens per request: 40.84x", [("kv_cache", 0.0)]),
        ("INFO: 127.0.0.1 - GET /health", []),
    ],
)
def test_a_line_says_what_was_reached_and_when(line: str, reached: list[tuple[str, float]]) -> None:
    assert list(LoadOutput().read(line)) == reached


def test_without_graphs_kernels_are_warmed_up_after_the_kv_cache() -> None:
    output = LoadOutput()
    assert list(output.read("Cudagraph is disabled under eager mode")) == []
    line = "Maximum concurrency for 8,192 tokens per request: 41.40x"
    assert list(output.read(line)) == [("kv_cache", 0.0), ("warm_up", 0.0)]


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
