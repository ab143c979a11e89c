"""What others put around a line of vLLM's output: taken off. Pure: no I/O."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

_ANSI = re.compile(r"(?:\x1b|\\x1b|#033)\[[0-9;?]*[A-Za-z]|\[(?:0|\d;\d+|0;0|\d\d)m")
"""Colours; some collectors take the escape character away and leave the rest, rsyslog writes it
as ``#033`` and the end of a line as ``#015``."""
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_SYSLOG_TIME = r"[A-Z][a-z]{2}\s+\d{1,2}\s+\d\d:\d\d:\d\d(?:\.\d+)?"
_UNIT = r"[\w.-]+\s+[\w@.\\/-]+\[\d+\]:(?:\s|$)"
_SYSLOG_UNIT = r"[\w.-]+\s+[\w@.\\/-]+(?:\[\d+\])?:(?:\s|$)"
_WRAPPER = re.compile(
    rf"(?:{_TIME}\s+(?P<stream>std(?:out|err))\s+(?P<cri>[FP])(?:\s|$)"
    rf"|{_TIME}\s+{_UNIT}"
    rf"|(?:[A-Z][a-z]{{2}}\s)?{_TIME}\s[A-Z]{{3,4}}\s+{_UNIT}"
    rf"|(?:<\d+>)?{_SYSLOG_TIME}\s+(?:\|(?:\s|$)|{_SYSLOG_UNIT})"
    rf"|(?:DEFAULT|INFO|WARNING|ERROR)\s{_TIME}(?:\s\[resource[^\]]*\])?(?:\s|$)"
    rf"|\[{_TIME}\](?:\s|$)"
    r"|\[pod/[^\]]+\](?:\s|$)"
    r"|\[[\w.-]+\]\s+\|(?:\s|$)"
    r"|[A-Za-z0-9][\w.@-]*\s+\|(?:\s|$)"
    r"|\d+\|[\w.-]+\s+\|(?:\s|$)"
    r"|(?:\[(?:INFO|WARN|ERROR)\s*\]|INFO|WARN|ERROR)\s+PyProcess (?:- )?W-\S+-std(?:out|err): ?"
    r"(?:\[\d+,\d+\]<std(?:out|err)>:)?"
    r"|│\s"
    rf"|{_TIME}(?:\s+\|)?(?:\s|$))"
)
"""docker -t, compose and swarm, PM2, CRI, journald (short, short-iso, with-unit) and syslog,
Google's and others' stamps, kubectl --prefix, SageMaker's server (DJL), Modal, a frame of a
terminal.

Source: the formats' own pages; public reports of vLLM's failures quote all of them.
"""
_MOST = 4
"""So many wrappers may be around each other."""
_OWN = re.compile(
    r"(?P<before>.{1,120}?)"
    r"(?:\([A-Za-z][\w ]* pid=\d+\) |Traceback \(most recent call last\):$"
    r"|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d )"
)
"""Where vLLM's own beginning of a line is, and what stands before it."""
_OWN_WORDS = ("pid=", " ERROR ", " INFO ", "Traceback (most recent")
_LEVEL = re.compile(r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_LEARN_LINES = 400
_TEXT_KEYS = ("message", "msg", "MESSAGE", "log", "event", "textPayload")
_LEVEL_KEYS = ("levelname", "level", "severity", "lvl")
_TRACE_KEYS = ("exc_info", "exc_text", "exception", "stack_info", "traceback")
_LOGGER_KEYS = ("name", "logger", "logger_name")
_PROCESS_KEYS = ("processName", "process_name")


@attrs.frozen
class Bare:
    """A line without its wrappers; `level` and `process` where a wrapper names them (JSON)."""

    text: str
    level: str | None = None
    process: str | None = None
    record: str | None = None
    """The record of a logger that the line is of: it may be of no other one's message."""


def bare_lines(lines: Sequence[str]) -> Iterator[Bare]:
    """Yield the lines as vLLM printed them; a JSON record may have several."""
    learnt = _learnt(lines)
    parts: dict[str, str] = {}
    for number, line in enumerate(lines):
        if line.startswith("{") and (record := _json(line)) is not None:
            yield from _of_record(record, learnt, number)
            continue
        text, stream, cut = _strip(line, learnt)
        if cut:  # a container runtime cuts long lines of each stream, and says so
            parts[stream] = parts.get(stream, "") + text
            continue
        if stream in parts:
            text = parts.pop(stream) + text
        if text.startswith("{") and (record := _json(text)) is not None:
            yield from _of_record(record, learnt, number)
        else:
            yield Bare(text)
    yield from map(Bare, parts.values())


def strip(line: str) -> str:
    """Return one line without its wrappers."""
    return _strip(line, None)[0]


def strip_inner(text: str) -> str:
    """Return what a process says without the time that a logger of its own put before it."""
    if text[:1].isalnum() or text[:1] in "[<":
        found = _WRAPPER.match(text)
        return text[found.end() :] if found else text
    return text


def _strip(line: str, learnt: re.Pattern[str] | None) -> tuple[str, str, bool]:
    """Return a line without its wrappers, the stream a runtime read it from, whether it cut it."""
    line = line.rstrip("\r\n").removesuffix("#015").rstrip("\r")
    if "\x1b" in line or "#033" in line or "\\x1b" in line or "m(" in line:
        line = _ANSI.sub("", line)
    if "\r" in line:  # a bar that was drawn again: its last state
        line = line[line.rindex("\r") + 1 :]
    stream, cut = "", False
    for _ in range(_MOST):
        found = _WRAPPER.match(line)
        if found is None:
            break
        if found["stream"]:
            stream, cut = found["stream"], found["cri"] == "P"
        line = line[found.end() :]
    if line.endswith("│"):
        line = line.rstrip("│ ")
    if learnt is not None and (own := learnt.match(line)):
        line = line[own.end() :]
    return line, stream, cut


def _learnt(lines: Sequence[str]) -> re.Pattern[str] | None:
    """Learn what stands before vLLM's own beginnings of lines, if it is always of one form."""
    forms: Counter[str] = Counter()
    own = 0
    for line in _sample(lines):
        text, *_ = _strip(line, None)
        if not any(mark in text for mark in _OWN_WORDS):
            continue
        own += 1
        found = _OWN.match(text)
        if found and not found["before"].startswith("(") and not _LEVEL.search(found["before"]):
            forms[_form(found["before"])] += 1
    if not forms:
        return None
    form, count = forms.most_common(1)[0]
    return re.compile(form) if count >= 2 and count * 2 > own else None


def _sample(lines: Sequence[str]) -> Iterable[str]:
    if len(lines) <= 2 * _LEARN_LINES:
        return lines
    return (*lines[:_LEARN_LINES], *lines[-_LEARN_LINES:])


def _form(text: str) -> str:
    """Return a pattern for a beginning: its numbers may be others in other lines."""
    return re.sub(r"\d+", r"\\d+", re.escape(text))


def _json(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(record, dict) and any(key in record for key in _TEXT_KEYS):
        return record
    return None


def _of_record(
    record: dict[str, Any], learnt: re.Pattern[str] | None, number: int
) -> Iterator[Bare]:
    """Yield the lines of a JSON record: what was logged, and the traceback with it."""
    level = _first(record, _LEVEL_KEYS)
    process = _first(record, _PROCESS_KEYS)
    level = level.upper() if level and level.isalpha() else None
    text = _first(record, _TEXT_KEYS) or ""
    trace = _first(record, _TRACE_KEYS)
    logger = _first(record, _LOGGER_KEYS)
    own = f"{logger} #{number}" if logger else None
    for part in (text, trace or ""):
        for line in part.rstrip("\n").split("\n") if part else ():
            yield Bare(_strip(line, learnt)[0], level, process, own)


def _first(record: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = record.get(key)
        if isinstance(value, str) and value:
            return value
        if key == "MESSAGE" and isinstance(value, list):  # journald's way with odd bytes
            try:
                return bytes(value).decode(errors="replace")
            except (TypeError, ValueError):
                return None
    return None
