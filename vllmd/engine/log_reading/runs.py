"""Where the last run begins in an output that several were appended to. Pure: no I/O."""

import re
from collections.abc import Sequence

from vllmd.engine.log_reading.entries import LOUD, QUIET, Entry
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.logs.milestones import BANNERS, READY

_BANNERS = (*BANNERS, "█     █     █▄")
"""What the main process prints once, near its start. Source: logs of vLLM 0.4 to 0.32."""
_EARLY = re.compile(
    r"Automatically detected platform|No platform detected|Triton is installed|Triton not installed"
    r"|Available plugins for group|Importing from vllm|Loaded plugin|^[\s▄▀█]+(?:version \S+)?$"
    r"|No plugins for group|All plugins in this group|vLLM API server version"
)
"""What comes before its arguments."""
_NEAR = 30
_OVER = re.compile(
    r"Engine core initialization failed|Engine process failed to start|See stack trace for the root"
)
_SERVES = re.compile(
    rf"^{READY}|^Uvicorn running on|^(?:Started|Finished) server process|^Shutting down"
    r'|^Application shutdown complete| HTTP/[\d.]+"|Avg prompt throughput'
)
"""What a run says after its start."""
_FINISHED = re.compile(r"^(Finished server process|Application shutdown complete)")
_USAGE = re.compile(
    r"^usage: |^(?:[\w./ -]{1,60}: )?error: (?:unrecognized|argument|ambiguous|the following)"
)
_WORK = frozenset({"main", "cmd", "run", "run_server", "run_server_worker"})
"""Functions that a program is in once its modules are there."""
_DEAD = ("EngineDeadError", "AsyncEngineDeadError", "MQEngineDeadError")
"""What a program throws, and what calls it once more, of an engine that is gone: no new run."""
_ONLY_CORE = ("EngineCore", "EngineCore_DP0")
_AT_IMPORT = ("ImportError", "ModuleNotFoundError", "SyntaxError")


def last_run(entries: Sequence[Entry], thrown: Sequence[Thrown]) -> int:
    """Return the index of the first entry of the last run."""
    begin = _by_banner(entries)
    begin = max(begin, _after_it_failed(entries, thrown, begin))
    begin = max(begin, _before_its_banner(entries, thrown, begin))
    begin = max(begin, _after_another_core(entries, begin))
    return max(begin, _after_it_served(entries, thrown, begin))


def _by_banner(entries: Sequence[Entry]) -> int:
    """Find the last banner that was there before: it is of another run."""
    begin, seen = 0, dict.fromkeys(_BANNERS, -1)
    pid: int | None = None
    for index, entry in enumerate(entries):
        if entry.level not in ("info", None):
            continue
        for mark in _BANNERS:
            if mark not in entry.text:
                continue
            again = seen[mark] >= begin
            other = entry.pid is not None and pid is not None and entry.pid != pid
            if (again or other) and not _siblings(entry):
                begin = _back_to_its_first(entries, index, begin)
                seen = dict.fromkeys(_BANNERS, -1)
            seen[mark] = index
            pid = entry.pid if entry.pid is not None else pid
    return begin


def _after_it_failed(entries: Sequence[Entry], thrown: Sequence[Thrown], begin: int) -> int:
    """Find the start of a run after one that failed, whose own beginning is cut off."""
    ended = [t for t in thrown if t.begin >= begin and _OVER.search(t.message) and not t.ignored]
    if not ended:
        return begin
    for index in range(ended[-1].end, len(entries)):
        entry = entries[index]
        other = entry.pid is None or entry.pid != ended[-1].entry.pid
        early = _EARLY.search(entry.text) or any(mark in entry.text for mark in _BANNERS)
        if entry.level in ("info", None) and early and other and not _siblings(entry):
            return index
    return begin


def _after_another_core(entries: Sequence[Entry], begin: int) -> int:
    """Find the first word of a core after the last one of another, which had failed.

    A run has one of that name, or two at once where somebody put the logs of two together.
    """
    cores = [
        (index, entry)
        for index, entry in enumerate(entries[begin:], begin)
        if entry.process in _ONLY_CORE and entry.pid is not None
    ]
    if not cores or cores[0][1].pid == cores[-1][1].pid:
        return begin
    own = [index for index, entry in cores if entry.pid == cores[-1][1].pid]
    before = [(index, entry) for index, entry in cores if entry.pid != cores[-1][1].pid]
    failed = any(entry.level in LOUD for _, entry in before)
    return own[0] if failed and before[-1][0] < own[0] else begin


def _siblings(entry: Entry) -> bool:
    """Tell whether it is one of several servers of one run: ``(ApiServer_1 pid=…)``."""
    return entry.process is not None and re.match(r"ApiServer_[1-9]", entry.process) is not None


def _back_to_its_first(entries: Sequence[Entry], index: int, begin: int) -> int:
    first = index
    for at in range(index - 1, max(begin, index - _NEAR) - 1, -1):
        entry = entries[at]
        if _EARLY.search(entry.text):
            first = at
        elif entry.text.strip() and (entry.level not in QUIET or _SERVES.search(entry.text)):
            break
    return first


def _before_its_banner(entries: Sequence[Entry], thrown: Sequence[Thrown], begin: int) -> int:
    """Find the start of a run that died before it had said anything."""
    over, by_exception, pid = -1, False, None
    for index, entry in enumerate(entries[begin:], begin):
        if entry.quiet and _FINISHED.match(entry.text):
            over, by_exception, pid = index + 1, False, entry.pid
    for each in thrown:
        if each.begin < begin or each.ignored:
            continue
        if each.is_main or _OVER.search(each.message):
            new = each.is_main and each.before is None
            other = pid is None or each.entry.pid != pid
            strange = by_exception or each.name in _AT_IMPORT
            if each.name in _DEAD:
                continue
            if new and 0 < over <= each.begin and other and strange:
                return over
            if each.before is None or each.end > over:
                over, by_exception, pid = each.end, True, each.entry.pid
    if over > 0:
        for entry in entries[over:]:
            if entry.level is None and _USAGE.match(entry.text):
                return over
    return begin


def _after_it_served(entries: Sequence[Entry], thrown: Sequence[Thrown], begin: int) -> int:
    """Find the start of a run that died before its banner, after one that was killed serving."""
    quiet = [i for i, e in enumerate(entries[begin:], begin) if e.level in ("info", None)]
    if not any(READY in entries[index].text for index in quiet):
        return begin
    served = max(index for index in quiet if _SERVES.search(entries[index].text))
    for index in quiet:
        entry = entries[index]
        again = _EARLY.search(entry.text) if entry.level else _USAGE.match(entry.text)
        if index > served and again:
            return index
    imports = (t for t in thrown if t.begin > served and t.is_main and t.before is None)
    return next((t.begin for t in imports if _at_import(t)), begin)


def _at_import(thrown: Thrown) -> bool:
    """Tell whether a program ended before it did anything but import its modules."""
    return thrown.name in _AT_IMPORT or _WORK.isdisjoint(thrown.functions)
