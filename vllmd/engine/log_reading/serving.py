"""What shows that a run had served, where its output does not say so. Pure: no I/O.

A log is often a part of one: its beginning is cut, or a server's own lines are left out. Who
answers requests was ready.
"""

import re
from collections.abc import Sequence

from vllmd.engine.log_reading.entries import Entry
from vllmd.engine.log_reading.phase import is_ready
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.logs.milestones import BANNERS

_AT_WORK = re.compile(
    r"encountered a fatal error|background task failed|AsyncLLMEngine has failed"
    r"|MQLLMEngine is already dead|output_handler failed"
)
"""What only an engine that served says of its end."""
_STEPS = frozenset({"_process_engine_step", "run_busy_loop", "engine_step", "run_engine_loop"})
"""Functions that only an engine which takes requests is in.

Source: vllm/v1/engine/core.py since 0.8; vllm/engine/async_llm_engine.py and
multiprocessing/engine.py 0.4 to 0.10.
"""
_WORKS = frozenset({"execute_model", "sample_tokens", "execute_dummy_batch"})
_TRIES = frozenset({"compile_or_warm_up_model", "determine_available_memory", "load_model"})
"""What a worker does for requests; what it does before there are any, by the same functions.

Source: vllm/v1/worker/gpu_worker.py since 0.8. What fails in the first ends the engine.
"""
_ANSWERED = re.compile(
    r':\d+ - "(?:GET|POST|PUT|DELETE) /\S* HTTP/[\d.]+" \d{3}'
    r"|^(?:Engine \d+: )?Avg prompt throughput"
)
"""An access line of uvicorn; vLLM's own figures."""
_REQUEST_PLACE = re.compile(r"^serving(?:_\w+)?\.py:")
"""Who logs the errors of requests alone. Source: vllm/entrypoints, serving*.py since 0.3."""
_CUT = -1


def ready_from(entries: Sequence[Entry], *, served: bool) -> tuple[int | None, bool]:
    """Return the index from which a run served, and whether its output says so itself.

    It is None for a run that was not ready, and -1 where the output begins after that. `served` if
    it is known from elsewhere.
    """
    said = next((i for i, entry in enumerate(entries) if is_ready(entry)), None)
    if said is not None:
        return said, True
    if served:
        return _CUT, False
    begun = max((i for i, e in enumerate(entries) if _is_banner(e)), default=None)
    after = 0 if begun is None else begun
    answered = next((i for i in range(after, len(entries)) if _answers(entries[i])), None)
    if answered is None:
        return None, False
    return (_CUT if begun is None else answered), False


def at_work(thrown: Thrown) -> bool:
    """Tell whether an exception can only be of an engine that took requests."""
    own = frozenset(thrown.functions)
    if "worker_busy_loop" in own and own & _WORKS and not own & _TRIES:
        return True
    return bool(own & _STEPS) or is_end_of_work(thrown.header)


def is_end_of_work(text: str) -> bool:
    """Tell whether a line is what only an engine that served says of its end."""
    return _AT_WORK.search(text) is not None


def _is_banner(entry: Entry) -> bool:
    return entry.level in ("info", None) and any(mark in entry.text for mark in BANNERS)


def _answers(entry: Entry) -> bool:
    if entry.level in ("info", None):
        return _ANSWERED.search(entry.text) is not None
    return entry.level == "error" and _REQUEST_PLACE.match(entry.place or "") is not None
