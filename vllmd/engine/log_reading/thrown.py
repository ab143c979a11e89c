"""One exception of an output, and its message where somebody broke that into lines. Pure."""

import re

import attrs

from vllmd.engine.log_reading.entries import Entry
from vllmd.logs.milestones import TRACEBACK

_WORK = frozenset({"main", "cmd", "run", "run_server", "run_server_worker", "run_engine_core"})
"""Functions that a program is in once its modules are there."""
_RUNPY = ("_run_module_as_main", "_run_code")
"""What ``python -m`` runs a module by, which is the program then."""
MAX_MORE = 14
"""Lines of a message after its first; a compiler's output may be long."""
_WRAPPED = re.compile(r"[a-z]+,? [\w`'(]")
"""How the rest of a sentence begins that somebody broke into lines."""
_LISTS = re.compile(r"\d validation errors? for \w+$")
"""A message whose reasons come in the lines after it."""
_BROKEN_AT = 30
"""No line that was broken for its length has fewer characters."""


@attrs.define(slots=True, eq=False)
class Thrown:
    """One exception: its name and message, where it is printed, and what led to it.

    `begin` and `end` are indices of entries, the last one excluded.
    """

    type: str
    message: str
    begin: int
    end: int
    entry: Entry
    more: tuple[str, ...] = ()
    """The lines of the message after its first."""
    files: tuple[str, ...] = ()
    """Of its frames, the outermost first."""
    functions: tuple[str, ...] = ()
    code: str = ""
    """The line that raised it, where the output has it."""
    header: str = ""
    """What was said before its traceback."""
    before: "Thrown | None" = None
    """The exception that led to it."""
    has_traceback: bool = True
    ignored: bool = False

    @property
    def text(self) -> str:
        """What the exception's own line says."""
        return f"{self.type}: {self.message}" if self.message else self.type

    @property
    def name(self) -> str:
        """The exception's name without its module."""
        return self.type.rsplit(".", 1)[-1]

    @property
    def is_silent(self) -> bool:
        """Whether it is an assertion that says nothing: no line behind it is its message."""
        return self.name == "AssertionError" and not self.message

    @property
    def at_import(self) -> bool:
        """Whether a module could not be imported, whatever was raised then."""
        own = self.functions
        while own[:1] and own[0] in _RUNPY:
            own = own[1:]
        return "<module>" in own[1:] and _WORK.isdisjoint(own)

    @property
    def is_main(self) -> bool:
        """Whether it ended a program that somebody started, not a process that vLLM made."""
        return bool(
            self.has_traceback
            and self.entry.level is None
            and self.functions
            and self.functions[0] in ("<module>", "_run_module_as_main")
            and self.files[0] != "<string>"
        )


def is_broken_off(thrown: Thrown, entry: Entry) -> bool:
    """Tell whether the line of a process ends before its message, or within the first sentence."""
    if entry.process is None and entry.level is None:
        return False
    if not thrown.message:
        return entry.text.rstrip() == f"{thrown.type}:"
    return not thrown.has_traceback and _is_open(thrown.message)


def _is_open(text: str) -> bool:
    return len(text) >= _BROKEN_AT and (text[-1].isalnum() or text[-1] in ",`'")


def says(silent: Thrown, index: int, entry: Entry) -> bool:
    """Take a bare line behind an exception's name for its message: a paste broke the line there."""
    bare = entry.process is None and entry.pid is None and entry.level is None
    text = entry.text.strip()
    if not bare or not text or TRACEBACK in text or len(silent.more) >= MAX_MORE:
        return False
    may_follow = _WRAPPED.match(text) or _LISTS.search(silent.message)
    if not silent.message:
        silent.message = text
    elif index > silent.begin + 1 or silent.more or may_follow:
        silent.more += (text,)
    else:
        return False
    silent.end = index + 1
    return True


def mend_sentence(thrown: Thrown) -> None:
    """Put a message's first sentence on one line again, where it was broken for its length."""
    while thrown.more and _is_open(thrown.message):
        rest = thrown.more[0].strip()
        if not _WRAPPED.match(rest):
            return
        thrown.message, thrown.more = f"{thrown.message} {rest}", thrown.more[1:]
