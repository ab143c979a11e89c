"""Every cause is shown by a log: a recorded one, or the line that vLLM's source prints."""

import re
from pathlib import Path

import pytest

from tests.helpers.each import of_each
from vllmd.engine.causes import BY_NAME, CAUSES, LASTING, diagnose
from vllmd.engine.causes.base import WALLS, Cause, Facts, Kind, Rank

DATA = Path(__file__).parents[3] / "data"
LOGS = sorted((DATA / "causes").glob("*.log"))
"""One for each cause that has a line of its own."""
RECORDED = {
    "cpu-0.32-engine-core-killed": ("0", "engine_core_died"),
    "cpu-0.32-group-head-peer-lost": ("0", "peer_lost"),
    "cpu-0.32-group-member-core-killed": ("0", "member_ended"),
    "cpu-0.32-lora-rank-too-high": ("1", "lora_rank"),
    "cpu-0.32-max-model-len-too-long": ("1", "context_too_long"),
    "cpu-0.32-model-not-found": ("1", "model_not_found"),
    "cpu-0.32-unknown-flag": ("2", "unknown_flag"),
    "h200-0.25-gpu-memory-held-by-orphan": ("1", "vram_held"),
    "h200-0.25-kv-cache-too-small": ("1", "kv_cache_too_small"),
}
ORDERLY = ("cpu-0.32-sigterm-drain", "cpu-0.32-sigterm-idle", "h200-0.25-serve-and-stop")
WITHOUT_A_LINE = {
    "killed": "SIGKILL",
    "shim_lost": "shim_lost",
    "not_started": "spawn_failed",
    "crashed": "SIGSEGV",
    "cpu_unsupported": "SIGILL",
}
BY_A_MARK = {
    "stalled": "stalled",
    "load_stalled": "load_stalled",
    "group_lost": "group_lost",
    "wake_failed": "wake_failed",
    "wrong_answers": "wrong_answers",
    "oom_kill": "host_out_of_memory",
    "xid_79": "gpu_fault",
}

GIVEN = "what the engine was given was taken at its start; if it was changed since, a start says so"
AT_A_START = "it is looked at, or done, once: before the engine takes requests"
NO_REASON_TO_HOLD = {
    **dict.fromkeys(
        (
            "context_too_long",
            "unknown_flag",
            "opentelemetry_missing",
            "trust_remote_code",
            "parallel_misfit",
            "config_rejected",
            "unsupported_model",
            "checkpoint_mismatch",
            "gpu_unsupported",
            "unsupported_combination",
            "user_unknown",
            "main_guard_missing",
            "fork_cuda",
            "cpu_unsupported",
        ),
        GIVEN,
    ),
    **dict.fromkeys(
        (
            "kv_cache_too_small",
            "model_gated",
            "weights_damaged",
            "gloo_loopback",
            "numa_refused",
            "cuda_graph_failed",
            "file_missing",
        ),
        AT_A_START,
    ),
    "lora_rank": "an adapter that one request asks for; all others are served",
    "lora_unusable": "an adapter that one request asks for; all others are served",
    "processor_failed": "what one request brought; others were prepared before",
    "shm_too_small": "it was enough for a start; what fills it may go, and a start shows it if not",
    "permission_denied": "it could read and write all that a start needs",
    "limit_reached": "the load reached it, and a new process begins with none open",
    "broken_install": "a module that only some requests load; all others are served",
    "compiler_missing": "code that only some requests have compiled; all others are served",
    "compile_failed": "code that only some requests have compiled; all others are served",
    "missing_kernels": "a kernel that only some requests use; all others are served",
    "no_gpu": "it had one; if it is gone, the next start shows it",
    "custom_all_reduce": "it worked from the start until now",
}
"""Why a run that served and was ended by it is tried again, for every wall that is no `LASTING`."""
FATAL = (
    "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] EngineCore encountered a fatal error.",
    "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] Traceback (most recent call last):",
    '(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231]   File "vllm/v1/engine/core.py", '
    "line 720, in run_busy_loop",
    "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231]     self._process_engine_step()",
)


def lines_of(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(errors="replace").splitlines())


@pytest.mark.parametrize(("log", "expected"), RECORDED.items())
def test_recorded_failures_have_their_cause(log: str, expected: tuple[str, str]) -> None:
    label, cause = expected
    found = diagnose(Facts(label, lines_of(DATA / "engine-logs" / f"{log}.log")))
    assert found.cause == cause
    assert found.evidence
    assert "pid=" not in found.evidence[0]


@pytest.mark.parametrize("log", ORDERLY)
def test_orderly_ends_that_vllmd_did_not_ask_for_were_asked_by_somebody(log: str) -> None:
    assert diagnose(Facts("0", lines_of(DATA / "engine-logs" / f"{log}.log"))).cause == "killed"


@of_each(LOGS, lambda path: path.stem)
def test_lines_of_the_source_have_their_cause(path: Path) -> None:
    assert diagnose(Facts("1", lines_of(path))).cause == path.stem


def test_every_cause_is_shown_once_and_says_what_to_do() -> None:
    names = list(dict.fromkeys(cause.name for cause in CAUSES))
    shown = {p.stem for p in LOGS} | {c for _, c in RECORDED.values()}
    assert sorted(names) == sorted(shown | set(WITHOUT_A_LINE) | set(BY_A_MARK.values()))
    named = [(cause.name, cause.rank) for cause in CAUSES if cause.rank != Rank.CLASS]
    assert len(set(named)) == len(named)
    for cause in CAUSES:
        assert cause.explanation.endswith("."), cause.name
        assert cause.advice.endswith("."), cause.name


def test_causes_are_looked_for_from_the_most_specific_on() -> None:
    ranks = [cause.rank for cause in CAUSES]
    assert ranks == sorted(ranks)


@of_each(CAUSES, lambda cause: f"{cause.name}-{cause.rank.name}")
def test_every_sign_is_a_pattern_and_names_who_prints_it(cause: Cause) -> None:
    for pattern, source in (*cause.signs.items(), *cause.said.items()):
        re.compile(pattern)
        assert len(source) > 2, pattern
    for frame in cause.frames:
        assert re.compile(frame.where), frame
        assert re.compile(frame.says), frame
        assert frame.source, frame


def test_every_wall_says_whether_it_can_end_a_run_that_served() -> None:
    walls = {cause.name for cause in CAUSES if cause.kind in WALLS}
    unsaid = walls - LASTING - set(NO_REASON_TO_HOLD)
    assert not unsaid, "say `after_serving` why it holds, or name it in NO_REASON_TO_HOLD"
    assert set(NO_REASON_TO_HOLD) <= walls - LASTING
    for cause in CAUSES:
        assert not cause.after_serving or cause.after_serving.endswith("."), cause.name
        assert not (cause.starting and cause.after_serving), cause.name


@of_each(LOGS, lambda path: path.stem)
def test_run_that_served_ends_by_a_wall_only_if_its_cause_says_why(path: Path) -> None:
    said = (line for line in lines_of(path) if not line.startswith((" ", "Traceback")))
    printed = [f"{FATAL[0].split(']')[0]}] {line}" for line in said]
    for known in (True, False):
        ready = () if known else ("INFO:     Application startup complete.",)
        found = diagnose(Facts("0", (*ready, *FATAL, *printed), served=known))
        assert found.kind not in WALLS or found.cause in LASTING, found


@pytest.mark.parametrize("cause", sorted(LASTING))
def test_cause_that_lasts_is_a_wall_for_a_run_that_served_too(cause: str) -> None:
    assert BY_NAME[cause].kind in WALLS or cause == "storage_failed"


@pytest.mark.parametrize(("cause", "label"), WITHOUT_A_LINE.items())
def test_ends_that_print_nothing_are_named_by_how_they_came(cause: str, label: str) -> None:
    assert diagnose(Facts(label, ("INFO: all is well",))).cause == cause


@pytest.mark.parametrize(("mark", "cause"), BY_A_MARK.items())
def test_marks_of_other_sources_name_a_cause_and_are_its_evidence(mark: str, cause: str) -> None:
    found = diagnose(Facts("SIGKILL", ("INFO: all is well",), {mark: "seen by another source"}))
    assert (found.cause, found.evidence) == (cause, ("seen by another source",))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("ValueError: MXFP8 MoE requires hidden_size divisible by 32, got 2880.", "unknown"),
        ("AssertionError: draft vocab dim is narrower: logits would be truncated.", "unknown"),
        ("MemoryError: Not enough space in the data buffer, try calling free_buf()", "unknown"),
        ("ValueError: EC source size mismatch for mm_hash=7a", "unknown"),
        ("ValueError: the server is busy or unavailable", "unknown"),
        ("ValueError: FOO backend is not available for this head size", "unknown"),
        ("torch._inductor.exc.InductorError: AssertionError: no such node", "compile_failed"),
        (
            "torch._inductor.exc.InductorError: RuntimeError: CUDA error: an illegal memory access "
            "was encountered",
            "cuda_error",
        ),
        (
            "torch.AcceleratorError: CUDA error: all CUDA-capable devices are busy or unavailable",
            "gpu_busy",
        ),
    ],
)
def test_words_that_a_cause_has_show_it_only_in_its_own_sentences(line: str, cause: str) -> None:
    core = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "
    assert diagnose(Facts("1", (core + line,))).cause == cause


def test_holders_of_vram_are_named_where_they_matter() -> None:
    marks = {"vram_holders": "python (pid 7) holds 60.0 GiB"}
    log = DATA / "engine-logs" / "h200-0.25-gpu-memory-held-by-orphan.log"
    assert marks["vram_holders"] in diagnose(Facts("1", lines_of(log), marks)).evidence
    assert diagnose(Facts("SIGKILL", (), marks)).evidence == ()


def test_unknown_stays_unknown_with_the_first_error_quoted() -> None:
    found = diagnose(Facts("1", ("fine", "KeyError: 'what'", "RuntimeError: see above")))
    assert (found.cause, found.kind, found.evidence) == (
        "unknown",
        Kind.UNKNOWN,
        ("KeyError: 'what'",),
    )
