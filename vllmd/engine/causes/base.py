"""What a cause is, and what it is found in. Pure: no I/O."""

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs

MAX_EVIDENCE = 3
MAX_LINE = 400
CODE = "raise "
"""How the line of code begins that raised: the exception itself comes after it."""
_PREFIX = re.compile(
    r"^(\([A-Za-z_0-9]+ pid=\d+\) )?([A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[\S+\] )?\s*"
)
"""Who says it and when, before what is said. Source: logs of vLLM 0.25 and 0.32."""


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


class Rank(enum.IntEnum):
    """How specific the signs of a cause are: the lower the number, the earlier it is looked for."""

    SEEN = 1
    """vllmd saw it itself, and ended the run for it."""
    STATED = 2
    """A sentence names what is wrong with what the engine was given: a setting, a model, a disk."""
    HOST = 3
    """An error names what of the host is not as it has to be: a port, a GPU, the driver."""
    WORK = 4
    """An error of the work itself, which may be an echo of those above."""
    BROAD = 5
    """A sign that much else may show too."""
    END = 6
    """Only that a process ended or fell silent: whatever was wrong before ends like that."""


@attrs.frozen
class Facts:
    """What is known of an end: `label` as in `exits.Exit`, the run's last lines, oldest first.

    `marks` are facts of other sources than the output, by name (`oom_kill`, `xid_79`), each with a
    sentence that shows it.
    """

    label: str
    lines: tuple[str, ...] = ()
    marks: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class Diagnosis:
    """Why a run ended, for a person: one sentence of explanation, one of advice."""

    cause: str
    kind: Kind
    explanation: str
    advice: str
    evidence: tuple[str, ...] = ()


@attrs.frozen
class Cause:
    """One way to fail: known by a line that matches a signature, by the end's label, by a mark."""

    name: str
    kind: Kind
    explanation: str
    advice: str
    rank: Rank = attrs.field(kw_only=True)
    signatures: tuple[str, ...] = ()
    """Patterns, each looked for in every line."""
    labels: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()
    names_holders: bool = False
    """Whether the mark `vram_holders` belongs to the evidence."""

    def find(self, facts: Facts) -> Diagnosis | None:
        """Return the diagnosis with its evidence, or None if this is not the cause."""
        seen = evidence(facts.lines, self.signatures)
        marked = tuple(text for mark, text in facts.marks.items() if mark in self.marks)
        if not seen and not marked and facts.label not in self.labels:
            return None
        if self.names_holders and "vram_holders" in facts.marks:
            marked += (facts.marks["vram_holders"],)
        seen = (*marked, *seen)[:MAX_EVIDENCE]
        return Diagnosis(self.name, self.kind, self.explanation, self.advice, seen)


def evidence(lines: tuple[str, ...], signatures: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first different lines that match, without who said them and when."""
    if not signatures:
        return ()
    pattern = re.compile("|".join(signatures))
    found: dict[str, None] = {}
    for line in lines:
        if len(found) < MAX_EVIDENCE and pattern.search(line):
            text = bare(line)
            if not text.startswith(CODE):
                found[text] = None
    return tuple(found)


def bare(line: str) -> str:
    """Return what a line says, cut to a length that fits a message."""
    text = _PREFIX.sub("", line).strip()
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…"
