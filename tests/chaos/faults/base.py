"""What each fault is."""

import os
import signal
from abc import ABC, abstractmethod
from typing import ClassVar

from tests.chaos.lab import Lab, same
from tests.chaos.states import STATES
from tests.helpers.site import wait_for
from vllmd.shim import proc

ALL = frozenset(STATES)
SEEN_S = 10.0
"""How long a fault may take to show."""
THERE_S = 60.0
"""How long what it is done to may take to be there, after another fault."""


class Fault(ABC):
    """One fault, once: `prepare`, `do`, `seen` until it is, and after `holds_s` seconds `undo`."""

    name: ClassVar[str]
    states: ClassVar[frozenset[str]] = ALL
    """In which states it can be done."""
    ends_run: ClassVar[frozenset[str]] = frozenset()
    """In which states it must end the engine's run; in others the run must go on."""
    causes: ClassVar[frozenset[str]] = frozenset()
    """What `vllmd why` may name, of a run that it ends."""
    holds_s: ClassVar[float] = 0.0
    of_daemon: ClassVar[bool] = False
    """Whether the daemon cannot answer while it goes on."""
    blinds: ClassVar[bool] = False
    """Whether a scrape may fail because of it."""
    needs_weights: ClassVar[bool] = False
    of: ClassVar[str] = ""
    """What it is done to, where two faults of it would undo each other."""

    @classmethod
    def impossible(cls) -> str:
        """Return why it cannot be done on this host; empty if it can."""
        return ""

    def prepare(self, lab: Lab) -> None:  # noqa: B027 - most have nothing to find
        """Find what it is done to, and note how that was. Raises: AssertionError: not there."""

    @abstractmethod
    def do(self, lab: Lab) -> None: ...

    @abstractmethod
    def seen(self, lab: Lab) -> str:
        """Return by what it is seen that it was done; empty if it is not."""

    def undo(self, lab: Lab) -> None:  # noqa: B027 - most take nothing back
        """Take it back, where that is a part of it."""


class SignalFault(Fault):
    """A signal to one process; seen in /proc."""

    which: ClassVar[str]
    number: ClassVar[int]

    def prepare(self, lab: Lab) -> None:
        what = f"a process {self.which}"
        self.target: proc.Stat = wait_for(what, lambda: lab.process(self.which), THERE_S)

    def do(self, lab: Lab) -> None:
        os.kill(self.target.pid, self.number)

    def seen(self, lab: Lab) -> str:
        if self.number == signal.SIGSTOP:
            now = proc.read_stat(self.target.pid)
            return f"/proc/{self.target.pid}/stat: T" if now and now.state == "T" else ""
        return "" if same(self.target) else f"/proc/{self.target.pid} is gone"

    def undo(self, lab: Lab) -> None:
        if self.number == signal.SIGSTOP and self.holds_s and same(self.target):
            os.kill(self.target.pid, signal.SIGCONT)


def signal_fault(name: str, which: str, number: int, **more: object) -> type[SignalFault]:
    """Make a fault that is a signal."""
    return type(name, (SignalFault,), {"name": name, "which": which, "number": number, **more})
