"""What a cause is, and what it is found in. Pure: no I/O."""

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import attrs

from vllmd.engine.log_reading.phase import Phase, is_of_a_start
from vllmd.engine.log_reading.reading import OutputReading, read_output
from vllmd.engine.log_reading.sign import Sign
from vllmd.util.failure_report import FailureReport

MAX_EVIDENCE = 4
MAX_HINTS = 2
MAX_LINE = 1000
"""Long enough for vLLM's longest sentence that names a number to set; more is a dump."""


class Kind(enum.StrEnum):
    """Who has to act: nobody yet, or whom."""

    TRANSIENT = "transient"
    """It may go away by itself: another start is worth it."""
    CONFIGURATION = "configuration"
    HARDWARE = "hardware"
    DRIVER = "driver"
    OPERATOR = "operator"
    """A person, or a program for them, ended it."""
    UNKNOWN = "unknown"


WALLS = frozenset({Kind.CONFIGURATION, Kind.HARDWARE, Kind.DRIVER})
"""The kinds after which another start ends like the one before."""


class Rank(enum.IntEnum):
    """How specific the signs of a cause are: the lower the number, the earlier it is looked for."""

    SEEN = 1
    """vllmd saw it itself, and ended the run for it."""
    NAMED = 2
    """A sentence names the very part that is meant; what led to it is its detail."""
    STATED = 3
    """A sentence names what is wrong with what the engine was given: a setting, a model, a disk."""
    HOST = 4
    """An error names what of the host is not as it has to be: a port, a GPU, the driver."""
    WORK = 5
    """An error of the work itself, which may be an echo of those above."""
    BROAD = 6
    """A sign that much else may show too."""
    CLASS = 7
    """Only the class of the root, and who raised it: its message is not known."""
    END = 8
    """Only that a process ended or fell silent: whatever was wrong before ends like that."""


@attrs.define(slots=False)
class Facts:
    """What is known of an end: `label` as in `exits.Exit`, the run's last lines, oldest first.

    `marks` are facts of other sources than the output, by name (`oom_kill`, `xid_79`), each with a
    sentence that shows it.
    """

    label: str
    lines: tuple[str, ...] = ()
    marks: Mapping[str, str] = MappingProxyType({})
    served: bool = False
    """Whether the run is known to have been ready, whatever its output says of it."""

    @cached_property
    def reading(self) -> OutputReading:
        """What the lines say, read once."""
        return read_output(self.lines, served=self.served)


@attrs.frozen
class Diagnosis:
    """Why a run ended, for a person: one sentence of explanation, one of advice."""

    cause: str
    kind: Kind
    explanation: str
    advice: str
    evidence: tuple[str, ...] = ()
    perhaps: str | None = None
    """The cause that it may be, where `cause` is ``unknown``."""

    @property
    def why(self) -> str:
        """The explanation, and the name of the cause."""
        return f"{self.explanation} (cause: {self.cause})"

    def report(self, what: str) -> FailureReport:
        """Return what is told of a failure of which nothing else is known yet."""
        return FailureReport(what, self.why, self.evidence, next=(self.advice,))


@attrs.frozen
class Found:
    """A sign of a cause: the line that shows it, and where it is printed."""

    line: str
    sign: Sign
    reading: OutputReading

    @property
    def phase(self) -> Phase:
        """When it came."""
        return self.reading.phase_at(self.sign)

    @property
    def whole(self) -> str:
        """The message with all of its lines."""
        return "\n".join(self.sign.lines)


_CALLED = re.compile(r"/json/|/torch/_ops\.py:__call__$|/tvm_ffi/\S*:")
"""Where an exception comes from that is of whoever called it."""


PASSED_ON = "RuntimeError: "
"""What stands for the class of an exception of which only another process has the words."""
NOWHERE = r"^$"
"""In the place of a pattern of `Frame.where`: no frame says where it was raised."""


@attrs.frozen
class Told:
    """What a cause says of one failure instead of what it says of all; None leaves it as it is."""

    advice: str | None = None
    explanation: str | None = None
    kind: Kind | None = None


@attrs.frozen
class Frame:
    """An exception that is known by where it was raised: a pattern of ``file:function``."""

    where: str
    says: str
    source: str
    raised: bool = False
    """Whether it is looked for only where the exception was raised, not in what called that."""
    elsewhere: str = ""
    """A pattern of where it was raised, if it is of another cause then."""
    bare: bool = False
    """With `NOWHERE`: whether no process has to be named, either: only vLLM's parts say so."""


def _nothing(_: Found) -> Told:
    return Told()


@attrs.frozen
class Cause:
    """One way to fail: known by a line that matches a sign, by the end's label, by a mark.

    `signs` are patterns, each with the file that prints it and since when; they are looked for in
    exceptions and error lines of what ended the run, never in what is logged below ERROR.
    """

    name: str
    kind: Kind
    explanation: str
    advice: str
    rank: Rank = attrs.field(kw_only=True)
    signs: Mapping[str, str] = attrs.field(factory=dict)
    unless: str | None = None
    """A pattern of messages that are of another cause."""
    not_from: str | None = None
    """A pattern of where it was raised, if its words are of another cause then."""
    frames: tuple[Frame, ...] = ()
    prior: bool = False
    """Whether its signs decide wherever they stand before the root: what they tell ends processes,
    or lets their calls fail, and no exception of those says so.
    """
    of_peers: bool = False
    """Whether a process throws it when another one has failed: an echo of what that one said."""
    weak: bool = False
    """Whether it is only what is most likely: the verdict is ``unknown``, and says so."""
    at_import: bool = False
    """Whether its frames show it while modules are imported, too: nothing is at work then."""
    starting: bool = False
    """Whether its signs show it in a start only."""
    after_serving: str = ""
    """Why it can end a run that served, and the next start too; empty if it is no reason to hold.

    What an engine was given cannot be wrong if it served with it.
    """
    said: Mapping[str, str] = attrs.field(factory=dict)
    """Signs in lines of any level, where no exception says more: an orderly end."""
    refines: frozenset[str] = frozenset()
    """The causes that this one is the reason of, if a warning before them says so."""
    hint: str | None = None
    answered: str | None = None
    """What an error says that shows that it is not the reason, whatever a warning said before."""
    labels: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()
    told: Callable[[Found], Told] = _nothing
    names_holders: bool = False
    """Whether the mark `vram_holders` belongs to the evidence."""

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return re.compile("|".join(self.signs)) if self.signs else None

    @cached_property
    def _unless(self) -> re.Pattern[str] | None:
        return re.compile(self.unless) if self.unless else None

    @cached_property
    def _frames(self) -> tuple[tuple[re.Pattern[str], re.Pattern[str], Frame], ...]:
        return tuple((re.compile(f.where), re.compile(f.says), f) for f in self.frames)

    def found(self, reading: OutputReading, signs: Sequence[Sign]) -> "Found | None":
        """Return the first sign of this cause: by its words, or else by where it was raised."""
        if self.starting and reading.ready:
            signs = [sign for sign in signs if sign.thrown and is_of_a_start(sign.thrown)]
        for look in (self._by_words, self._by_frame):
            for sign in signs:
                if (line := look(sign)) is not None:
                    return Found(line, sign, reading)
        return None

    def _by_words(self, sign: Sign) -> str | None:
        if self._pattern is None or self._is_of_another(sign) or self._is_from_another(sign):
            return None
        line = next(filter(self._pattern.search, sign.lines), None)
        if line is None:
            return None
        of_code = sign.thrown is not None and line == sign.thrown.code
        return sign.quote if line is sign.lines[0] or of_code else line

    def _is_of_another(self, sign: Sign) -> bool:
        return bool(self._unless and self._unless.search("\n".join(sign.lines)))

    def _is_from_another(self, sign: Sign) -> bool:
        if self.not_from is None or sign.thrown is None:
            return False
        return any(re.search(self.not_from, file) for file in sign.thrown.files[-1:])

    def _by_frame(self, sign: Sign) -> str | None:
        thrown = sign.thrown
        if not self._frames or self._is_of_another(sign) or not (thrown or sign.passed_on):
            return None
        if thrown and thrown.at_import and not self.at_import:
            return None
        raised = zip(thrown.files, thrown.functions, strict=True) if thrown else ()
        places = [f"{file}:{function}" for file, function in raised]
        said = sign.lines[0] if thrown else f"{PASSED_ON}{sign.lines[0]}"
        for where, says, frame in self._frames:
            last = self._raised(places)
            if frame.elsewhere and any(re.search(frame.elsewhere, place) for place in last):
                continue
            looked_at = last if frame.raised else places
            named = frame.bare or sign.entry.process is not None
            if frame.where == NOWHERE and not places and named:
                looked_at = ("",)
            if says.search(said) and any(map(where.search, looked_at)):
                return sign.quote
        return None

    @staticmethod
    def _raised(places: Sequence[str]) -> Sequence[str]:
        """Return where an exception was raised: who called Python's json or a kernel, not those."""
        own = [place for place in places if not _CALLED.search(place)]
        return (own or places)[-1:]

    def hinted(self, reading: OutputReading) -> tuple[str, ...]:
        """Return the warnings that make this the reason of the cause that it refines, if any."""
        if self.hint is None:
            return ()
        if self.answered is not None:
            said = [line for sign in reading.signs for line in sign.lines]
            said += [entry.text for entry in reading.hints]
            if any(re.search(self.answered, line) for line in said):
                return ()
        return tuple(e.text for e in reading.hints if re.search(self.hint, e.text))[:MAX_HINTS]

    def marked(self, facts: Facts) -> tuple[str, ...]:
        """Return the sentences of the marks that show this cause."""
        return tuple(text for mark, text in facts.marks.items() if mark in self.marks)

    def announced(self, reading: OutputReading) -> str | None:
        """Return the line of any level that says how an end came, or None.

        The last one of the first of `said` that there is one of.
        """
        if not self.said:
            return None
        pattern = re.compile("|".join(self.said))
        found = [e.text for e in reversed(reading.entries) if pattern.search(e.text)]
        return next((text for sign in self.said for text in found if re.search(sign, text)), None)

    def diagnosis(
        self, facts: Facts, found: Found | None, *, evidence: tuple[str, ...] = ()
    ) -> Diagnosis:
        """Return the diagnosis of an end that this is the cause of."""
        told = self.told(found) if found else Told()
        marked = self.marked(facts)
        if self.names_holders and "vram_holders" in facts.marks:
            marked += (facts.marks["vram_holders"],)
        lines = (found.line, *self._also(found), *details(found)) if found else ()
        said = (*evidence, *lines) if found and found.sign.echo else (*lines, *evidence)
        shown = tuple(dict.fromkeys((*marked, *map(bare, said))))[:MAX_EVIDENCE]
        return Diagnosis(
            self.name,
            self._kind(told, facts, found),
            told.explanation or self.explanation,
            told.advice or self.advice,
            shown,
        )

    def _kind(self, told: Told, facts: Facts, found: Found | None) -> Kind:
        kind = told.kind or self.kind
        thrown = found.sign.thrown if found else None
        served = facts.reading.ready and not (thrown and is_of_a_start(thrown))
        return Kind.TRANSIENT if served and kind in WALLS and not self.after_serving else kind

    def _also(self, found: Found) -> list[str]:
        """Return the root, where another exception shows the cause, and what else shows it."""
        root = found.reading.root
        own = [sign for sign in found.reading.signs if sign is not found.sign]
        roots = (
            [root.quote] if root in own and root.thrown and root.index < found.sign.index else []
        )
        others = [line for sign in own if (line := self._by_words(sign)) is not None]
        return [*others[:1], *roots]


def bare(line: str) -> str:
    """Return what a line says, cut to a length that fits a message."""
    text = line.strip()
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…"


_NO_DETAIL = re.compile(
    r"^\s*(?:CUDA kernel errors|HIP kernel errors|For debugging|Compile with|Search for `"
    r"|For further"
    r"|Set TORCH|You can suppress|During handling|The above|Process \S+:|\^|~|$)|^\s*[\])}]"
)
"""What PyTorch and pydantic add to every message."""


def details(found: Found) -> list[str]:
    """Return the other lines of a message: what it says of the case is in any of them."""
    quoted = found.line.strip()
    lines = [line.strip() for line in found.sign.lines if not _NO_DETAIL.search(line)]
    return [line for line in lines if line not in quoted]


def number(pattern: str, text: str) -> int | None:
    """Return the number that the first group of a pattern matches, or None."""
    found = re.search(pattern, text)
    return int(found[1]) if found else None
