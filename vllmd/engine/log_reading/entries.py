"""A line's own beginning: process, level, time, place; and what it says. Pure: no I/O."""

import re
from collections.abc import Sequence

import attrs

from vllmd.engine.log_reading.wrappers import Bare, bare_lines, strip_inner

QUIET = frozenset({"debug", "info", "warning"})
"""Levels that are no evidence of a failure."""
LOUD = frozenset({"error", "critical"})
_PROCESS = re.compile(
    r"\((?P<name>[A-Za-z_][\w:.-]*(?:\([\w:.()-]{1,120}\))?(?:\s[\w=-]+)*?)?\s?pid=(?P<pid>\d+)(?:,\s*ip=[^)]*)?\)(?:\s|$)"
    r"|\((?P<bare>(?:EngineCore|A[Pp][Ii]Server|(?:Vllm)?Worker)(?:_\w+)?)\)(?:\s|$)"
    r"|\((?P<ray>raylet|autoscaler)[^)]*\)(?:\s|$)"
    r"|\[rank\d+\]:\s?"
)
_L = r"(?P<level>TRACE|DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)"
_HEADS = tuple(
    re.compile(pattern)
    for pattern in (
        # vLLM: 'ERROR 11-18 18:07:28 engine.py:366] x', since 0.8 '… [engine.py:366] x'; the year
        # before it where somebody set a format
        rf"{_L} (?:\d{{4}}-)?(?P<at>\d\d-\d\d \d\d:\d\d:\d\d)(?:[.,]\d+)? "
        r"(?:\[(?P<place>[^\]\s]+)\]|(?P<old>[^\]\s]+)\])(?:\s|$)",
        # the same without its time: VLLM_LOGGING_CONFIG, or who shows it
        rf"{_L} (?:\d\d-\d\d |\.\.\. )?\[(?P<place>[\w./]+\.py:\d+)\](?:\s|$)",
        # uvicorn: 'INFO:     x'
        rf"{_L}:\s{{2,}}",
        # Python's own: 'ERROR:root:x'
        rf"{_L}:(?P<place>[\w.]+):",
        # Ray: '2025-11-23 10:00:05,102 INFO worker.py:1850 -- x', its time is a wrapper
        rf"{_L} (?P<place>[\w.]+:\d+) -- ",
        rf"{_L}\s+\|\s",
        rf"\[{_L}\]\s",
        rf"(?:- )?(?P<place>[\w.]+) - {_L} - ",
        rf"{_L} (?P<place>[\w./]+\.py)[:\s]",
        # KServe: '1 kserve ERROR [model_server.py:start():264] x', '1 uvicorn.error INFO:     x'
        rf"\d+ (?P<place>[a-z][\w.]*) {_L}:?\s+(?:\[[^\]\s]+\] )?",
    )
)
_TORCH = re.compile(
    r"(?:\[(?P<bare>[IWEF])|\[?(?P<level>[IWEF])\d{3,4}(?: \d\d:\d\d:\d\d[.\d]*)?(?: \d+)?) "
    r"(?P<place>[^\]\s]+:\d+)\](?:\s|$)"
)
"""PyTorch's and glog's: '[rank0]:[E1123 19:06:44.1 x.cpp:9] y'; in C++ of May '[E523', before
2.4 '[E x.cpp:9] y'."""
_RAY = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?P<level>[DIWECF]) \d+ \d+\] (?:\([\w.-]+\) )?"
    r"(?P<place>[\w.]+:\d+): "
)
"""Ray's own, of its parts in C++: '[2025-11-23 10:00:05,102 E 7 7] core_worker.cc:228: x'."""
_NCCL = re.compile(r"\S+:\d+:\d+ \[\S+\] (?:\S+ )?NCCL (?P<level>INFO|WARN|TRACE) ")
_LETTERS = {
    "D": "debug",
    "C": "critical",
    "I": "info",
    "W": "warning",
    "E": "error",
    "F": "critical",
}
_NAMES = {"TRACE": "debug", "WARN": "warning", "FATAL": "critical"}
_PY_WARNING = re.compile(r"\S+:\d+: \w*Warning: ")
_PLACE = re.compile(r"\[?(?P<place>[\w/]+\.(?:py|cc|cpp|cu):\d+)\](?:\s|$)")
"""A line whose beginning somebody left out, but for its place: 'core.py:1] x'."""
_FIRST = frozenset("DIWECFT[-")
"""How a head can begin; others are not looked at."""


Stream = tuple[str | None, int | None, str | None, str | None]
"""Process, pid, level and place."""


@attrs.frozen(slots=True)
class Entry:
    """One line: who printed it, how bad it is, when (month-day time), from where, what it says.

    `pid` may be known where no name is; `level` is None where the line names none.
    """

    text: str
    process: str | None = None
    pid: int | None = None
    level: str | None = None
    at: str | None = None
    place: str | None = None

    @property
    def stream(self) -> Stream:
        """Lines of one stream are of one message or traceback, others may come in between."""
        return (self.process, self.pid, self.level, self.place)

    @property
    def quiet(self) -> bool:
        """Whether it is no evidence, whatever it says."""
        return self.level in QUIET


def read_entries(lines: Sequence[str]) -> list[Entry]:
    """Read each line of an output, without what others put around it."""
    return [read_entry(bare) for bare in bare_lines(lines)]


def read_entry(bare: Bare) -> Entry:
    """Read one line."""
    text, process, pid = bare.text, bare.process, None
    while text[:1] in ("(", "[") and (found := _PROCESS.match(text)):
        name = found["name"] or found["bare"] or found["ray"]
        if name or process is None:
            process = name or process
        if found["pid"]:
            pid = int(found["pid"])
        text = strip_inner(text[found.end() :])
    level, at, place = _level_of(bare.level), None, bare.record
    if text[:1] in _FIRST or " - " in text[:60] or text[:1].isdigit():
        for head in _HEADS:
            if found := head.match(text):
                named = found.groupdict()
                level = _NAMES.get(named["level"], named["level"].lower())
                at, place = named.get("at"), named.get("place") or named.get("old")
                return Entry(text[found.end() :], process, pid, level, at, place)
        if found := _TORCH.match(text) or _RAY.match(text):
            named = found.groupdict()
            level = _LETTERS[named["level"] or named["bare"]]
            return Entry(text[found.end() :], process, pid, level, None, found["place"])
    if level is None and (found := _NCCL.match(text)):
        return Entry(text[found.end() :], process, pid, "warning", None, "NCCL")
    if level is None and _PY_WARNING.match(text):
        level = "warning"
    elif level is None and place is None and (found := _PLACE.match(text)):
        return Entry(text[found.end() :], process, pid, None, None, found["place"])
    return Entry(text, process, pid, level, at, place)


def _level_of(name: str | None) -> str | None:
    if name is None:
        return None
    level = _NAMES.get(name, name.lower())
    return level if level in QUIET | LOUD else None
