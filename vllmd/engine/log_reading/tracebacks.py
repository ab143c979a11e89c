"""Exceptions that an output prints, and how one led to the next. Pure: no I/O."""

import re
from collections.abc import Sequence

from vllmd.engine.log_reading.entries import Entry, Stream
from vllmd.engine.log_reading.thrown import MAX_MORE, Thrown, is_broken_off, mend_sentence, says
from vllmd.logs.milestones import TRACEBACK

_FRAME = re.compile(r'\s*File ["“](?P<file>[^"”]+)["”], line \d+(?:, in (?P<function>.+))?')
_WHOLE_FRAME = re.compile(r'\s*File "[^"]+", line \d+, in \S')
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_NAMED = re.compile(
    r"(?P<type>(?:(?:[A-Za-z_]\w*\.)*_?[A-Z]\w*|(?:[A-Za-z_]\w*\.)+[a-z]\w*)"
    r"(?:Error|Exception|Interrupt|Failure|Failed|Exit|OutOfResources|Timeout|Expired|Unavailable"
    r"|Unsupported|ObjectsOnly|Terminated|NotFound|IsEnabled)|Exception(?=: ))"
    r"(?::\s?(?P<message>.*)|\s*)$",
    re.DOTALL,
)
"""A line that is an exception by its look alone."""
_AFTER_FRAMES = re.compile(r"(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::\s?(?P<message>.*)|\s*)$")
"""What ends a traceback; behind one, any name is that of an exception."""
_REPR = re.compile(
    r"(?P<type>[A-Z]\w*(?:Error|Exception))\((?P<quote>['\"])(?P<message>.*)(?P=quote),?\)$"
)
"""vLLM before 0.8 logs a failed step so: ``OutOfMemoryError('…')``."""
_UNCAUGHT = re.compile(
    r"Uncaught exception \| <class '(?P<type>[\w.]+)'>; (?P<message>.*?)"
    r"(?:; <traceback object .*)?$"
)
"""What RunPod's worker prints in the place of a traceback."""
_DOTTED = re.compile(r"(?P<type>(?:[a-z_]\w*\.)+[A-Z]\w+): (?P<message>.*)$")
"""An exception with its module, in a line that is an error."""
_OF_A_MODULE = re.compile(r"(?P<type>(?:[a-z_]\w*\.){2,}[A-Z]\w+): (?P<message>.*)$")
"""An exception with its package and module, wherever it stands."""
_NOTEBOOK = re.compile(r"(?P<name>[A-Z]\w+) {2,}Traceback \(most recent call last\)$")
"""How IPython, of notebooks, begins a traceback: with the name that it ends with."""
_CELL = re.compile(
    r"(?:File )?(?P<file>[^\s:()]+\.pyx?)(?::\d+,)? in (?P<function>[\w.<>]+)"
    r"|(?:Cell In\s?\[\d+\]|<ipython-input-[\w-]+>)(?:, line \d+$|:\d+(?:, in | in |$)| in )"
)
"""A frame there: ``File ~/v/llm.py:123, in LLM.__init__(self)``, ``/v/llm.py in f(x)``."""
_QUOTING = re.compile(r"(?:Error|Exception):$")
"""An exception whose message is another one's traceback."""
_GROUP = re.compile(r"^\s*(?:\+-?[-+ \d]*|\|)\s?")
_HEADER = re.compile(
    r"(?:EngineCore|WorkerProc|AsyncLLM|Engine core|MQLLMEngine|AsyncLLMEngine|Exception in worker"
    r"|Invocation of|Got fatal|Dumping|Worker proc|Worker \S+ pid|Process \S+:$|Error in "
    r"|usage: \S)"
)
"""What is said before a traceback, of a process, or by a program that begins: of no message."""
_IGNORED = (
    "Exception ignored in",
    "--- Logging error ---",
    "Task exception was never retrieved",
    "Future exception was never retrieved",
    "Exception in ASGI application",
    "Error in sys.excepthook",
    "Exception in callback",
    "Exception ignored on",
)
"""Before the traceback of what nobody waits for: no process ends of it."""
_IGNORED_FILES = ("multiprocessing/resource_tracker.py",)


class _OpenTraceback:
    """A traceback that is being read."""

    def __init__(
        self, begin: int, header: str, before: Thrown | None, ignored: bool, indent: str
    ) -> None:
        self.begin, self.header, self.before, self.ignored = begin, header, before, ignored
        self.indent = indent
        """What stands before each of its lines: another message, or a document, quotes it."""
        self.code = ""
        self.files: list[str] = []
        self.functions: list[str] = []
        self.notebook: str | None = None
        """The exception's name, where a notebook printed it."""
        self.flat = False
        """Whether a collector took the indents away: code lines look like any other then."""


class _Stream:
    """What is under way among the lines of one process at one level."""

    def __init__(self) -> None:
        self.open: _OpenTraceback | None = None
        self.last: Thrown | None = None
        self.more: list[str] = []
        self.linked = False
        self.said = ""
        self.cut = True
        """Whether nothing but the inside of a traceback was read yet: its beginning may be cut."""

    def close_message(self) -> None:
        if self.last is not None and self.more:
            while self.more and not self.more[-1].strip():
                self.more.pop()
            self.last.more = tuple(self.more)
            mend_sentence(self.last)
        self.more = []


def read_exceptions(entries: Sequence[Entry]) -> list[Thrown]:
    """Return the exceptions of an output in the order of their lines."""
    streams: dict[Stream, _Stream] = {}
    found: list[Thrown] = []
    silent: Thrown | None = None
    for index, entry in enumerate(entries):
        if silent is not None and says(silent, index, entry):
            continue
        if silent is not None:
            mend_sentence(silent)
            silent = None
        if entry.quiet:
            stream = streams.get(entry.stream)
            if stream is None:
                _interrupt(streams, entry)
                continue
        stream = streams.setdefault(entry.stream, _Stream())
        if index and entry.level is None and TRACEBACK in entry.text:
            _take_header(stream, entries[index - 1], entry)
        if (new := _read(stream, index, entry)) is not None:
            found.append(new)
            silent = new if is_broken_off(new, entry) else None
    for stream in streams.values():
        stream.close_message()
    if silent is not None:
        mend_sentence(silent)
    return found


def _take_header(stream: _Stream, above: Entry, entry: Entry) -> None:
    """Take the error line above a bare traceback for its header: uvicorn prints both as one."""
    same = (above.process, above.pid) == (entry.process, entry.pid)
    if same and above.level == "error" and above.place is None and not stream.linked:
        stream.said = above.text.strip()


def _interrupt(streams: dict[Stream, _Stream], entry: Entry) -> None:
    """A process that says something else has ended what it said without a level."""
    bare = streams.get((entry.process, entry.pid, None, None))
    if bare is not None and bare.open is None and not bare.linked:
        bare.close_message()
        bare.last = None


def _read(stream: _Stream, index: int, entry: Entry) -> Thrown | None:
    text = entry.text
    if text[:4] in ("  | ", "    ", "  + ") and ("|" in text[:12] or "+" in text[:8]):
        text = _GROUP.sub("", text)
    if text.rstrip().endswith(TRACEBACK) and '"' not in text[: -len(TRACEBACK)]:
        _begin(stream, index, text.rstrip())
        return None
    if entry.level is None and (cells := _NOTEBOOK.match(text)) is not None:
        _begin(stream, index, "")
        assert stream.open is not None, "it was opened"
        stream.open.notebook = cells["name"]
        return None
    if stream.cut and stream.open is None and _WHOLE_FRAME.match(text):
        stream.said = ""
        _begin(stream, index, "")
    if stream.open is not None:
        inside = _in_notebook if stream.open.notebook is not None else _in_traceback
        return inside(stream, index, entry, text)
    stream.cut = stream.cut and text[:1] in ("", " ", "\t", "^", "~")
    return _outside(stream, index, entry, text)


def _outside(stream: _Stream, index: int, entry: Entry, text: str) -> Thrown | None:
    """Read a line that is in no traceback: a link between two, an exception, or more of one."""
    plain = text.strip()
    if plain in (_CAUSE, _CONTEXT):
        stream.close_message()
        stream.linked = True
    elif (named := _alone(text, entry)) is not None:
        stream.close_message()
        whole = stream.last if stream.last is not None and _quotes(stream.last, index) else None
        stream.last = Thrown(
            named["type"],
            (named["message"] or "").strip(),
            index,
            index + 1,
            entry,
            files=whole.files if whole else (),
            functions=whole.functions if whole else (),
            header=stream.said,
            before=stream.last if stream.linked else None,
            has_traceback=False,
        )
        stream.linked = False
        return stream.last
    elif stream.linked and not plain:
        pass
    elif stream.last is not None and _goes_on(stream, entry):
        stream.more.append(text)
        stream.last.end = index + 1
        stream.said = ""
    else:
        stream.close_message()
        stream.last, stream.linked, stream.said = None, False, plain or stream.said
    return None


def _quotes(last: Thrown, index: int) -> bool:
    """Tell whether a line behind an exception is what that one wraps: ``backend='x' raised:``."""
    return last.end == index and last.has_traceback and last.message.endswith(":")


def _goes_on(stream: _Stream, entry: Entry) -> bool:
    """Tell whether a line may be of the message before it: of one record, and no header."""
    assert stream.last is not None, "the caller looked"
    if stream.last.is_silent:
        return False
    same = entry.level is None or entry.at == stream.last.entry.at
    return same and len(stream.more) < MAX_MORE and not _HEADER.match(entry.text)


def _begin(stream: _Stream, index: int, text: str) -> None:
    stream.close_message()
    before_it = text[: -len(TRACEBACK)].strip()
    header = "" if _QUOTING.search(before_it) else before_it or stream.said
    stream.cut = False
    if not header and stream.last is not None and stream.last.more and not stream.linked:
        header = stream.last.more[-1].strip()
    before = stream.last if stream.linked else None
    ignored = any(mark in header for mark in _IGNORED) or bool(before and before.ignored)
    indent = text[: len(text) - len(text.lstrip(" "))]
    stream.open = _OpenTraceback(index, header, before, ignored, indent)
    stream.last, stream.linked, stream.said = None, False, ""


def _in_traceback(stream: _Stream, index: int, entry: Entry, text: str) -> Thrown | None:
    under_way = stream.open
    assert under_way is not None, "the caller looked"
    text = text.removeprefix(under_way.indent)
    if (frame := _FRAME.match(text)) is not None:
        under_way.flat = under_way.flat or text[0] == "F"
        under_way.files.append(frame["file"])
        under_way.functions.append(frame["function"] or "")
        under_way.code = ""
        return None
    if text[:2] == "  " and not under_way.code:
        under_way.code = text.strip()
    if not text.strip() or text[0] in " \t^~" or text.startswith("[Previous line repeated"):
        return None
    named = (_NAMED if under_way.flat else _AFTER_FRAMES).match(text)
    if named is None and under_way.flat:
        return None
    if named is None and "RayTaskError(" in text:
        return None  # Ray puts the frames of the other process behind it
    stream.open = None
    if named is None:
        stream.said = text.strip()
        return None
    return _end(stream, under_way, index, entry, named)


def _in_notebook(stream: _Stream, index: int, entry: Entry, text: str) -> Thrown | None:
    under_way = stream.open
    assert under_way is not None, "the caller looked"
    if (frame := _CELL.match(text)) is not None:
        under_way.files.append(frame["file"] or "<cell>")
        under_way.functions.append((frame["function"] or "<module>").rsplit(".", 1)[-1])
        return None
    named = _AFTER_FRAMES.match(text)
    if named is None or named["type"].rsplit(".", 1)[-1] != under_way.notebook:
        return None
    return _end(stream, under_way, index, entry, named)


def _end(
    stream: _Stream, under_way: _OpenTraceback, index: int, entry: Entry, named: re.Match[str]
) -> Thrown:
    ignored = under_way.ignored or any(file.endswith(_IGNORED_FILES) for file in under_way.files)
    stream.open = None
    stream.last = Thrown(
        named["type"],
        (named["message"] or "").strip(),
        under_way.begin,
        index + 1,
        entry,
        files=tuple(under_way.files),
        functions=tuple(under_way.functions),
        code=under_way.code,
        header=under_way.header,
        before=under_way.before,
        ignored=ignored,
    )
    return stream.last


def _alone(text: str, entry: Entry) -> re.Match[str] | None:
    """Return what names an exception in a line that is behind no traceback."""
    if entry.quiet or not text or not (text[0].isalpha() or text[0] == "_"):
        return None
    found = _NAMED.match(text) or _UNCAUGHT.match(text) or _OF_A_MODULE.match(text)
    if found is None and entry.level is not None:
        found = _REPR.match(text) or _DOTTED.match(text)
    return found
