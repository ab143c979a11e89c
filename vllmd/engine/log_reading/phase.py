"""How far a run had come when it ended. Pure: no I/O."""

import enum
import re
from collections.abc import Sequence

from vllmd.engine.log_reading.entries import Entry
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.logs.milestones import READY


class Phase(enum.StrEnum):
    """What a run was at, in the order of a start."""

    ARGUMENTS = "arguments"
    IMPORTS = "imports"
    CONFIGURATION = "configuration"
    DOWNLOAD = "download"
    LOADING = "loading"
    PROFILING = "profiling"
    WARM_UP = "warm-up"
    SERVING = "serving"
    DRAINING = "draining"
    UNKNOWN = "unknown"


_ORDER = tuple(Phase)
_MARKS = (
    (
        Phase.CONFIGURATION,
        re.compile(
            r"vLLM API server version|non-default args:|args: Namespace\(|Using max model len"
            r"|Resolved architecture"
        ),
    ),
    (Phase.DOWNLOAD, re.compile(r"Downloading |Fetching \d+ files|Time spent downloading weights")),
    (
        Phase.LOADING,
        re.compile(
            r"Initializing an? (?:V1 )?LLM engine|Starting to load model"
            r"|Loading (?:\w+ )?checkpoint shards|Loading weights|Using model weights format"
        ),
    ),
    (
        Phase.PROFILING,
        re.compile(r"Model loading took|Loading model weights took|Loading weights took"),
    ),
    (
        Phase.WARM_UP,
        re.compile(
            r"GPU KV cache size|# GPU blocks:|Maximum concurrency|Available KV cache memory"
            r"|Capturing (?:CUDA|cudagraph)|Graph capturing finished|init engine \("
        ),
    ),
    (
        Phase.SERVING,
        re.compile(
            rf"^{READY}|^Uvicorn running on|Starting vLLM API server"
            r"|Starting vLLM server"
        ),
    ),
    (
        Phase.DRAINING,
        re.compile(r"^Shutting down$|shutdown triggered|^Waiting for application shutdown"),
    ),
)
"""What an output says when a phase begins. Source: logs of vLLM 0.4 to 0.32."""
_READY = re.compile(rf"^{READY}|^Uvicorn running on")
_BY_FRAME = (
    (
        re.compile(
            r"^(?:profile_run|determine_available_memory|determine_num_available_blocks|profile_cudagraph_memory)$"
        ),
        Phase.PROFILING,
    ),
    (
        re.compile(
            r"^(?:capture_model|compile_or_warm_up_model|_initialize_kv_caches|initialize_cache|initialize_from_config|warm_up_model|kernel_warmup|_warm_up_model)$"
        ),
        Phase.WARM_UP,
    ),
    (
        re.compile(
            r"^(?:load_model|load_weights|_load_weights|init_device|_init_worker_distributed_environment|download_weights_from_hf|process_weights_after_loading)$"
        ),
        Phase.LOADING,
    ),
    (
        re.compile(
            r"^(?:run_busy_loop|_process_engine_step|step_fn|engine_step|run_engine_loop"
            r"|execute_model|sample_tokens)$"
        ),
        Phase.SERVING,
    ),
    (
        re.compile(
            r"^(?:create_engine_config|create_model_config|from_cli_args|validate_parsed_serve_args)$"
        ),
        Phase.CONFIGURATION,
    ),
)


_WORKED = re.compile(r"hit an exception|encountered a fatal error")
_AT_WORK = re.compile(r"^(?:run_busy_loop|_process_engine_step|engine_step|run_engine_loop)$")


def is_ready(entry: Entry) -> bool:
    """Tell whether a line says that the server takes requests."""
    return entry.level in ("info", None) and _READY.match(entry.text) is not None


def phase_by_lines(entries: Sequence[Entry], end: int) -> Phase:
    """Return the furthest phase that the first `end` entries announce."""
    found = Phase.UNKNOWN
    for entry in entries[:end]:
        if entry.level not in ("info", None):
            continue
        for phase, mark in _MARKS:
            if mark.search(entry.text) and (
                found is Phase.UNKNOWN or _ORDER.index(phase) > _ORDER.index(found)
            ):
                found = phase
    return found


def last_step(entries: Sequence[Entry]) -> int:
    """Return where a start reached the furthest phase of those that its output announces."""
    at, reached = -1, -1
    for index, entry in enumerate(entries):
        if entry.level not in ("info", None):
            continue
        for phase, mark in _MARKS:
            if _ORDER.index(phase) > reached and mark.search(entry.text):
                at, reached = index, _ORDER.index(phase)
    return at


def is_of_a_start(thrown: Thrown) -> bool:
    """Tell whether an exception ended a start, though the output says that an engine served.

    It is that of another engine in the same output, or of the start after it.
    """
    if _WORKED.search(thrown.header) or any(map(_AT_WORK.match, thrown.functions)):
        return False
    starts = [pattern for pattern, phase in _BY_FRAME if phase is not Phase.SERVING]
    return "failed to start" in thrown.header or any(
        pattern.match(function) for pattern in starts for function in thrown.functions
    )


def phase_of(thrown: Thrown, by_lines: Phase) -> Phase:
    """Return the phase that an exception came in: its frames know better than the lines before."""
    if by_lines in (Phase.SERVING, Phase.DRAINING):
        return by_lines
    for pattern, phase in _BY_FRAME:
        if any(map(pattern.match, thrown.functions)):
            return phase
    if by_lines is Phase.UNKNOWN and thrown.is_main:
        return Phase.IMPORTS
    return by_lines
