"""Everything that vllmd raises on purpose, and the exit code each class ends the program with.

::

    VllmdError                 1   any other failure
    ├── ConfigError           78   the configuration cannot be used (sysexits EX_CONFIG)
    ├── UnknownEngineError    66   no engine of that name (EX_NOINPUT)
    ├── DaemonUnreachableError 69  nobody answers on the control socket (EX_UNAVAILABLE)
    ├── DaemonRunningError    73   another daemon holds the run directory (EX_CANTCREAT)
    ├── NotPermittedError     77   the caller has no right to do that (EX_NOPERM)
    ├── TimedOutError         75   it may still happen, but not within the given time (EX_TEMPFAIL)
    ├── HeldError             65   the engine is held until something is fixed (EX_DATAERR)
    ├── ShimError             70   the process beside an engine did not do its part (EX_SOFTWARE)
    ├── InstallError           1   an engine could not be installed: the host, the network, a name
    ├── CompareError           1   a version of an engine could not be measured
    └── ScrapeError           70   an engine's metrics page cannot be read (EX_SOFTWARE)

A wrong command line exits 2, as click does; an interrupted one 130.
"""

from collections.abc import Iterable
from typing import Self


class VllmdError(Exception):
    """Tell a person what is wrong, where, and what to do; the message needs no traceback."""

    exit_code = 1


class ConfigError(VllmdError):
    """The configuration cannot be used; `problems` has one entry for each mistake."""

    exit_code = 78


class UnknownEngineError(VllmdError):
    """No engine of that name is configured."""

    exit_code = 66

    @classmethod
    def among(cls, name: str, configured: Iterable[str]) -> Self:
        """Say which there are."""
        known = ", ".join(configured) or "none"
        return cls(f"no engine {name!r} is configured; there is: {known}")


class DaemonUnreachableError(VllmdError):
    """Nobody answers on the control socket."""

    exit_code = 69


class DaemonRunningError(VllmdError):
    """Another daemon already looks after this run directory."""

    exit_code = 73


class NotPermittedError(VllmdError):
    """The caller has no right to do that."""

    exit_code = 77


class TimedOutError(VllmdError):
    """What was asked for did not happen within the given time."""

    exit_code = 75


class HeldError(VllmdError):
    """An engine is held, so it does not become what it was waited for; the reason says the fix."""

    exit_code = 65


class ShimError(VllmdError):
    """The process beside an engine did not do its part."""

    exit_code = 70


class InstallError(VllmdError):
    """An engine could not be installed."""


class CompareError(VllmdError):
    """A version of an engine could not be measured."""


class ScrapeError(VllmdError):
    """An engine's metrics page cannot be read; `refused` if nobody listens there.

    `ours` if that says nothing of the engine: vllmd was late, or had no means to ask.
    """

    exit_code = 70

    def __init__(self, message: str, *, refused: bool = False, ours: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        self.ours = ours
