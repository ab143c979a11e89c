"""What others put around a line of vLLM's output: taken off. Pure: no I/O."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import attrs

from vllmd.engine.log_reading.pasted import unpasted

_ANSI = re.compile(r"(?:\x1b|\\x1b|#033|\^\[)\[[0-9;?]*[A-Za-z]|\[(?:0|\d;\d+|0;0|\d\d)m")
"""Colours; some collectors take the escape character away and leave the rest, rsyslog writes it
as ``#033`` and the end of a line as ``#015``, ``cat -v`` as ``^[`` and ``^M``."""
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_SYSLOG_TIME = r"[A-Z][a-z]{2}\s+\d{1,2}\s+\d\d:\d\d:\d\d(?:\.\d+)?"
_UNIT = r"[\w.-]+\s+[\w@.\\/-]+\[\d+\]:(?:\s|$)"
_SYSLOG_UNIT = r"[\w.-]+\s+[\w@.\\/-]+(?:\[\d+\])?:(?:\s|$)"
_WRAPPER = re.compile(
    rf"(?:{_TIME}\s+(?P<stream>std(?:out|err))\s+(?P<cri>[FP])(?:\s|$)"
    rf"|{_TIME}\s+{_UNIT}"
    rf"|(?:[A-Z][a-z]{{2}}\s)?{_TIME}\s[A-Z]{{3,4}}\s+{_UNIT}"
    rf"|(?:<\d+>)?{_SYSLOG_TIME}\s+(?:\|(?:\s|$)|{_SYSLOG_UNIT})"
    rf"|(?:DEFAULT|INFO|WARNING|ERROR)\s{_TIME}(?:\s\[resource[^\]]*\])?(?:\s(?!\[?[\w/]+\.py:\d)|$)"
    rf"|\[{_TIME}\](?:\s|$)"
    r"|\[pod/[^\]]+\](?:\s|$)"
    r"|\([\w.-]+(?:, rank=\d+)?, pid=\d+(?:, ip=[\w.:]+)?\)(?:\s|$)"
    r"|\[[\w.-]+\]\s+\|(?:\s|$)"
    r"|[A-Za-z0-9][\w.@-]*\s+\|(?:\s|$)"
    r"|\d+\|[\w.-]+\s+\|(?:\s|$)"
    r"|(?:\[(?:INFO|WARN|ERROR)\s*\]|INFO|WARN|ERROR)\s+PyProcess (?:- )?W-\S+-std(?:out|err): ?"
    r"(?:\[\d+,\d+\]<std(?:out|err)>:)?"
    rf'|{_TIME} \{{\w+="[^}}]*\}} '
    r"|\[(?:INFO|WARN|ERROR)\] (?:vllm[\w.-]*|[\w.-]*vllm): "
    r"|[a-z0-9]{8,20}\[(?:info|warning|error)\]"
    r"|│\s"
    r"|\d{1,7}[:-](?=[A-Z][a-z]{2}\s|\([A-Za-z]|\d{4}-|(?:INFO|WARNING|ERROR) )"
    r"|(?:\s{1,40}|(?:INFO|WARNING|ERROR):\s+)(?=\([A-Za-z][\w ]* pid=\d+\) )"
    rf"|{_TIME}(?:\s+\|)?(?:\s|$))"
)
"""docker -t, compose and swarm, PM2, CRI, journald (short, short-iso, with-unit) and syslog,
Google's and others' stamps, kubectl --prefix, SkyPilot, SageMaker's server (DJL), RunPod, Modal, a
frame of a terminal; ``grep -n``; an indent (of a list, of a document) or another program's
level before a process's name.

Source: the formats' own pages; public reports of vLLM's failures quote all of them.
"""
_MOST = 4
"""Most wrappers around each other."""
_LEVELS = r"(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)"
_OWN = re.compile(
    r"(?P<before>.{1,120}?)"
    rf"(?:(?P<head>\([A-Za-z][\w ]* pid=\d+\) |{_LEVELS} \d\d-\d\d \d\d:\d\d:\d\d )"
    r"|Traceback \(most recent call last\):$|usage: \S|[\w.]+(?: serve)?: error: )"
)
"""Where vLLM's own beginning of a line is, and what stands before it."""
_OWN_WORDS = ("pid=", " ERROR ", " INFO ", "Traceback (most recent", "usage: ", ": error: ")
_BAR = re.compile(
    r"^.{0,80}?\d%\|[^|]*\|.{0,160}?\](?=(?:\([A-Za-z][\w ]* pid=\d+\) )?"
    rf"{_LEVELS} \d\d-\d\d \d\d:\d\d:\d\d )"
)
"""A bar of progress, which has no end of a line, before what a process logged."""
_LEVEL = re.compile(rf"\b{_LEVELS}\b")
_HEAD = re.compile(rf"{_LEVELS} \d\d-\d\d \d\d:\d\d|{_LEVELS}:\s")
_CAPTURED = re.compile(
    rf"\([A-Za-z][\w ]* pid=\d+\) |{_LEVELS} \d\d-\d\d \d\d:\d\d|Traceback \(most"
    r"|\s+File \".*\", line \d+, in |[\w.]+(?: serve)?: error: "
)
"""What a record of a logger does not begin with: a line that something else captured does."""
_QUOTES = re.compile(r"(?:Error|Exception)\b[^:]*:\s*$")
"""An exception whose message is another one's traceback: no collector puts that before a line."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]")
_LEARN_LINES = 400
_FEW = 4
_MOST_SHARE = 0.8
_DOUBLED_SHARE = 0.05
_TAG_CHARS = 200
_LOGFMT = re.compile(r'time=(?:"[^"]*"|\S+) level=\w+ msg=(?P<said>"(?:[^"\\]|\\.)*")')
"""What programs in Go (Docker's model runner, containerd) make of a line that they pass on."""
_SUPERVISOR = re.compile(rf"{_TIME} DEBG '[^']+' std(?:out|err) output:$")
"""What supervisord puts before what a program printed, in its own log."""
_TEXT_KEYS = (
    *("message", "msg", "MESSAGE", "log", "event", "textPayload", "line", "body"),
    *("Log", "LogMessage", "Message", "Body"),
)
_INNER_KEYS = ("jsonPayload", "content", "attributes", "_source", "record", "data")
"""Where Google, Datadog, Elasticsearch and others have what was logged, in their own record."""
_AT_KEYS = ("timestamp", "@timestamp", "time", "ts", "TimeStamp", "TimeGenerated")
_OF_A_COLLECTOR = frozenset({"stream", "container_name", "container_id", "kubernetes", "source"})
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
    lines = unpasted(_undoubled(_records(lines)))
    learnt = _learnt(lines)
    of_collector = _levels_of_a_collector(lines)
    parts: dict[str, str] = {}
    for number, line in enumerate(lines):
        if line.endswith(" output:") and _SUPERVISOR.match(line):
            continue
        if line.startswith("{") and (record := _json(line)) is not None:
            yield from _of_record(record, learnt, number, of_collector)
            continue
        if line.endswith(("}", "}]")) and (record := _tagged(line)) is not None:
            yield from _of_record(record, learnt, number, of_collector)
            continue
        text, stream, cut = _strip(line, learnt)
        if cut:  # a container runtime cuts long lines of each stream, and says so
            parts[stream] = parts.get(stream, "") + text
            continue
        if stream in parts:
            text = parts.pop(stream) + text
        if text.startswith("{") and (record := _json(text)) is not None:
            yield from _of_record(record, learnt, number, of_collector)
        else:
            yield Bare(text)
    yield from map(Bare, parts.values())


def strip(line: str) -> str:
    """Return one line without its wrappers."""
    return _strip(line, None)[0]


def strip_inner(text: str) -> str:
    """Return what a process says without the time that a logger of its own put before it."""
    if text[:1].isalnum() or text[:1] in "[<│":
        found = _WRAPPER.match(text)
        return text[found.end() :] if found else text
    return text


def _strip(line: str, learnt: re.Pattern[str] | None) -> tuple[str, str, bool]:
    """Return a line without its wrappers, the stream a runtime read it from, whether it cut it."""
    line = line.rstrip("\r\n").removesuffix("#015").removesuffix("^M").rstrip("\r")
    if line.startswith("time=") and (said := _LOGFMT.match(line)) is not None:
        line = _unquoted(said["said"]).rstrip("\r\n")
    if "\x1b" in line or "#033" in line or "\\x1b" in line or "m(" in line or "^[[" in line:
        line = _ANSI.sub("", line)
    if "\r" in line:  # a bar that was drawn again: its last state
        line = line[line.rindex("\r") + 1 :]
    if "%|" in line:
        line = _BAR.sub("", line)
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
    sure: set[str] = set()
    own = 0
    sample = [*map(_said, _sample(lines))]
    for text in sample:
        if not any(mark in text for mark in _OWN_WORDS):
            continue
        own += 1
        found = _OWN.match(text)
        if found is None or found["before"].startswith("(") or _HEAD.search(found["before"]):
            continue
        if _QUOTES.search(found["before"]):
            continue
        form = _form(found["before"])
        forms[form] += 1
        if found["head"] is not None or not _LEVEL.search(found["before"]):
            sure.add(form)
    if not forms:
        return None
    form, count = forms.most_common(1)[0]
    pattern = re.compile(form)
    if own == 1 and form in sure and sum(1 for text in sample if text.strip()) == 1:
        return pattern  # the only line that there is: somebody's words stand before it
    if count > 1 and count * 2 > own and form in sure:
        return pattern
    same = sum(pattern.match(text) is not None for text in sample)
    return pattern if len(sample) >= _FEW and same > _MOST_SHARE * len(sample) else None


def _said(line: str) -> str:
    """Return what a line says without the wrappers that are known."""
    record = _json(line) if line.startswith("{") else None
    if record is not None:
        line = (_first(record, _TEXT_KEYS) or "").split("\n")[0]
    return _strip(line, None)[0]


def _sample(lines: Sequence[str]) -> Iterable[str]:
    if len(lines) <= 2 * _LEARN_LINES:
        return lines
    return (*lines[:_LEARN_LINES], *lines[-_LEARN_LINES:])


def _form(text: str) -> str:
    """Return a pattern for a beginning: its numbers and level may be others in other lines."""
    return _LEVEL.sub(lambda _: _LEVELS, re.sub(r"\d+", r"\\d+", re.escape(text)))


def _records(lines: Sequence[str]) -> Sequence[str]:
    """Return the records of an export each in a line of its own, the oldest first."""
    first = next((line.lstrip() for line in lines if line.strip()), "")
    if first.strip() in ("[", "[{") or first.startswith('[{"'):
        try:
            every = json.loads("\n".join(lines))
        except (ValueError, RecursionError):
            return lines
        lines = [json.dumps(each) for each in every] if isinstance(every, list) else lines
    elif first[:1] != "{":
        return lines
    stamps = [at for line in (*lines[:1], *lines[-1:]) if (at := _stamp(line)) is not None]
    stamps = [at for at in stamps if _DAY.match(at)]  # a time of day alone begins anew at midnight
    newest_first = len(stamps) == 2 and stamps[0] > stamps[1]
    return lines[::-1] if newest_first else lines


def _undoubled(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines without the empty one that a terminal or a page put after each of them."""
    if len(lines) <= 2 * _FEW:
        return lines
    said = [bool(line.strip()) for line in lines]
    together = sum(map(all, pairwise(said)))
    if together > _DOUBLED_SHARE * len(lines) or sum(said) * 3 < len(lines):
        return lines
    return [line for n, line in enumerate(lines) if said[n] or (n and not said[n - 1])]


def _stamp(line: str) -> str | None:
    record = _json(line) if line.startswith("{") else None
    return _first(record, _AT_KEYS) if record is not None else None


def _json(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _with_text(record)


def _with_text(record: object) -> dict[str, Any] | None:
    """Return a record of a log, or the one within it that has the text."""
    if not isinstance(record, dict):
        return None
    for key in _INNER_KEYS:
        inner = record.get(key)
        if isinstance(inner, dict) and any(isinstance(inner.get(each), str) for each in _TEXT_KEYS):
            own = (*_TEXT_KEYS, *_LEVEL_KEYS)
            return {**{k: v for k, v in record.items() if k not in own}, **inner}
    if "textPayload" in record:  # Google's own level says only which stream it was
        return {key: value for key, value in record.items() if key != "severity"}
    return record if any(key in record for key in _TEXT_KEYS) else None


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except (ValueError, RecursionError):
        return text.strip('"')


def _tagged(line: str) -> dict[str, Any] | None:
    """Return the record that fluentd or Fluent Bit print behind a tag and a time.

    What an engine itself says may end with JSON as well: with a request, or an answer.
    """
    begin = line.find('{"', 1, _TAG_CHARS)
    if begin <= 0 or _HEAD.search(line, 0, begin) or "pid=" in line[:begin]:
        return None
    record = _json(line[begin:].removesuffix("]"))
    return record if record is not None and not _OF_A_COLLECTOR.isdisjoint(record) else None


def _levels_of_a_collector(lines: Sequence[str]) -> bool:
    """Tell whether the levels of records are those of a stream that something else captured.

    Such a record has a whole line of the output, with the beginning that vLLM gave it.
    """
    for line in _sample(lines):
        record = _json(line) if line.startswith("{") else None
        said = (_first(record, _TEXT_KEYS) or "") if record is not None else ""
        if _CAPTURED.match(_strip(said, None)[0]):
            return True
    return False


def _of_record(
    record: dict[str, Any], learnt: re.Pattern[str] | None, number: int, of_collector: bool
) -> Iterator[Bare]:
    """Yield the lines of a JSON record: what was logged, and the traceback with it."""
    level = _first(record, _LEVEL_KEYS)
    process = _first(record, _PROCESS_KEYS)
    level = level.upper() if level and level.isalpha() and not of_collector else None
    text = _first(record, _TEXT_KEYS) or ""
    trace = _first(record, _TRACE_KEYS)
    logger = _first(record, _LOGGER_KEYS)
    own = f"{logger} #{number}" if logger and not of_collector else None
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
