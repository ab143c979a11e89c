"""What happens to processes of the engine and to their shim."""

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.chaos.faults.base import THERE_S, Fault, signal_fault
from tests.chaos.lab import Lab, same
from tests.chaos.states import RUNS
from tests.helpers.site import wait_for
from vllmd.shim import proc

AS_ASKED = frozenset({""})
"""A shim that is asked to end stops its engine in order, as if somebody had asked vllmd."""
API: dict[str, Any] = {"states": RUNS, "ends_run": RUNS, "causes": frozenset({"killed"})}
WITH_CORE = RUNS - {"stopping"}
"""The API server ends it before itself."""
CORE: dict[str, Any] = {
    "states": WITH_CORE,
    "ends_run": WITH_CORE,
    "causes": frozenset({"engine_core_died", "crashed", "killed"}),
}
SHIM: dict[str, Any] = {
    "states": RUNS | {"starting"},
    "ends_run": RUNS,
    "causes": frozenset({"shim_lost", "not_started"}),
}
"""A shim that is killed before it has reported is one that could not be started."""
HUNG = frozenset({"stalled", "load_stalled"})
HANGS: dict[str, Any] = {
    "states": WITH_CORE,
    "ends_run": WITH_CORE - {"sleeping"},
    "causes": HUNG,
}
"""A core that hangs while it sleeps is found when it is woken: `heal` does that."""


def _there(found: proc.Stat | None) -> proc.Stat:
    assert found, "no such process of the engine"
    return found


class AllKilled(Fault):
    """The whole tree and its shim at once, as by an operator who is in a hurry."""

    name = "kill -9 of shim and engine together"
    states = ends_run = RUNS
    causes = frozenset({"shim_lost", "killed", "engine_core_died"})

    def prepare(self, lab: Lab) -> None:
        wait_for("the engine's processes", lambda: len(lab.tree()) > 1, THERE_S)
        self.tree = lab.tree()

    def do(self, lab: Lab) -> None:
        for stat in reversed(self.tree):
            os.kill(stat.pid, signal.SIGKILL)

    def seen(self, lab: Lab) -> str:
        left = [stat for stat in self.tree if same(stat)]
        return "" if left else f"{len(self.tree)} processes are gone from /proc"


class OutOfMemory(Fault):
    """The kernel's OOM killer, by a control group with little memory."""

    name = "OOM kill of the API server"
    states = ends_run = frozenset({"ready", "sleeping"})
    causes = frozenset({"killed", "host_out_of_memory"})
    LIMIT = 32 << 20
    GROUPS = Path("/sys/fs/cgroup/memory")

    @classmethod
    def impossible(cls) -> str:
        if os.access(cls.GROUPS / "cgroup.procs", os.W_OK):
            return ""
        return f"no control group can be made in {cls.GROUPS} (cgroup v1, as root)"

    def prepare(self, lab: Lab) -> None:
        self.api = _there(lab.process("api"))
        self.group = self.GROUPS / f"vllmd-chaos-{os.getpid()}-{self.api.pid}"

    def do(self, lab: Lab) -> None:
        self.group.mkdir()
        (self.group / "memory.limit_in_bytes").write_text(str(self.LIMIT))
        (self.group / "cgroup.procs").write_text(str(self.api.pid))
        lab.say("page", "grow")
        threading.Thread(target=self._ask, args=(lab.port,), daemon=True).start()

    @staticmethod
    def _ask(port: int) -> None:
        with contextlib.suppress(OSError):
            urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).close()

    def seen(self, lab: Lab) -> str:
        if not self.group.exists():
            return ""
        counts = (self.group / "memory.oom_control").read_text().split()
        kills = int(counts[counts.index("oom_kill") + 1])
        return "memory.oom_control: oom_kill" if kills and not same(self.api) else ""

    def undo(self, lab: Lab) -> None:
        lab.unsay("page")
        wait_for("an empty control group", self._remove)

    def _remove(self) -> bool:
        with contextlib.suppress(OSError):
            self.group.rmdir()
        return not self.group.exists()


class LogFlood(Fault):
    """Lines without end on the engine's output; seen by what its shim has read."""

    name = "200,000 lines of log"
    states = RUNS - {"stopping"}
    LINES = 200_000

    def prepare(self, lab: Lab) -> None:
        api, shim = _there(lab.process("api")), _there(lab.process("shim"))
        self.output, self.io = Path(f"/proc/{api.pid}/fd/2"), Path(f"/proc/{shim.pid}/io")
        self.before = self._read()

    def _read(self) -> int:
        try:
            return int(self.io.read_text().split()[1])
        except OSError:
            return 0

    def do(self, lab: Lab) -> None:
        line = b"INFO 11-30 10:00:00 [flood.py:1] a line of no interest\n"
        with self.output.open("wb", buffering=0) as pipe:
            for _ in range(self.LINES // 1000):
                pipe.write(line * 1000)

    def seen(self, lab: Lab) -> str:
        more = self._read() - self.before
        return f"/proc/…/io: the shim read {more >> 20} MiB" if more > 8 << 20 else ""


FAULTS = (
    signal_fault("kill -9 of the API server", "api", signal.SIGKILL, **API),
    signal_fault("SIGTERM to the API server", "api", signal.SIGTERM, **API),
    signal_fault("SIGSTOP of the API server", "api", signal.SIGSTOP, **{**API, "causes": HUNG}),
    signal_fault("kill -9 of the EngineCore", "core", signal.SIGKILL, **CORE),
    signal_fault("SIGTERM to the EngineCore", "core", signal.SIGTERM, **CORE),
    signal_fault("SIGSEGV in the EngineCore", "core", signal.SIGSEGV, **CORE),
    signal_fault("SIGSTOP of the EngineCore", "core", signal.SIGSTOP, **HANGS),
    signal_fault("kill -9 of the shim", "shim", signal.SIGKILL, **SHIM),
    signal_fault("SIGTERM to the shim", "shim", signal.SIGTERM, **{**SHIM, "causes": AS_ASKED}),
    signal_fault(
        "SIGSTOP of the shim for 2 s", "shim", signal.SIGSTOP, states=SHIM["states"], holds_s=2.0
    ),
    AllKilled,
    OutOfMemory,
    LogFlood,
)
