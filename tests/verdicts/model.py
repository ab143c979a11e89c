"""What a case of the corpus is made of: a failure, in a version's format, behind a wrapper."""

import enum
import zlib

import attrs

VERSIONS = (
    "0.6.6",
    "0.7.3",
    "0.8.5",
    "0.9.1",
    "0.10.1",
    "0.11.0",
    "0.19.0",
    "0.25.1",
    "0.32.0",
    "0.33.0",
)
OLD = ("0.6.6", "0.7.3")
"""With the engine before V1: other processes, other echoes."""
V1 = VERSIONS[2:]
BRACKETS = VERSIONS[2:]
PYDANTIC = VERSIONS[3:]
"""Where configurations are pydantic's, which wraps what their checks raise."""
NAMED = VERSIONS[4:]
"""Where each line says its process."""
DIRECT = "The above exception was the direct cause of the following exception:"
DURING = "During handling of the above exception, another exception occurred:"


class Phase(enum.IntEnum):
    """How far the run had come, in the order in which it gets there."""

    ARGUMENTS = 0
    IMPORTS = 1
    CONFIGURATION = 2
    INITIALIZATION = 3
    LOADING = 4
    PROFILING = 5
    WARM_UP = 6
    SERVING = 7


class Who(enum.StrEnum):
    """The process that says something."""

    API = "api"
    CORE = "core"
    WORKER = "worker"


@attrs.frozen
class Raised:
    """One exception of a chain: what it says, and where it was raised."""

    name: str
    text: str
    file: str = ""
    function: str = ""
    code: str = ""
    link: str = DIRECT
    """How it follows the exception before it."""

    @property
    def said(self) -> str:
        """Return it as Python prints it at the end of a traceback."""
        return f"{self.name}: {self.text}" if self.text else self.name


@attrs.frozen
class Said:
    """A line of a log: with a level it is a record of vLLM's logger, without one it is printed."""

    text: str
    who: Who = Who.API
    level: str = ""
    place: str = ""


@attrs.frozen
class Failure:
    """One way to fail, whatever version prints it and whatever log keeps it.

    `chain`: the exceptions, the root first; `said`: what is printed instead of, or before them.
    `causes`: the names that are right; `hold`: whether another start hits the same wall (None:
    either will do). `words`: a part of the line that shows it. `source`: who prints it.
    """

    name: str
    phase: Phase
    who: Who
    causes: tuple[str, ...]
    hold: bool | None
    words: str
    source: str
    chain: tuple[Raised, ...] = ()
    said: tuple[Said, ...] = ()
    versions: tuple[str, ...] = V1
    exit_code: int = 1
    config: str = ""
    """The pydantic class whose check raises the root, in versions that have it."""
    echoes: bool = True
    """Whether the processes above print that the one below failed."""
    seen: bool = False
    """Whether it is a log that was judged before it came here, and mended for then."""

    @property
    def held_out(self) -> bool:
        """Return whether no pattern may be made to fit it: true of about a third of the others."""
        return not self.seen and zlib.crc32(self.name.encode()) % 3 == 0


@attrs.frozen
class Case:
    """A failure's whole log, and what is right to say of it."""

    name: str
    subject: str
    failure: Failure
    version: str
    wrapper: str
    lines: tuple[str, ...]


def failure(
    name: str,
    phase: Phase,
    who: Who,
    causes: str,
    hold: bool | None,
    words: str,
    source: str,
    *chain: Raised,
    said: tuple[Said, ...] = (),
    versions: tuple[str, ...] = V1,
    exit_code: int | None = None,
    config: str = "",
    echoes: bool = True,
) -> Failure:
    """Return a failure: `causes` are separated by spaces; what served ends with 0, as vLLM does."""
    code = exit_code if exit_code is not None else int(phase is not Phase.SERVING)
    return Failure(
        name,
        phase,
        who,
        tuple(causes.split()),
        hold,
        words,
        source,
        chain,
        said,
        versions,
        code,
        config,
        echoes,
    )
