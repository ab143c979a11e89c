"""What happens to the GPUs and to what reads them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from tests.chaos.faults.base import Fault, signal_fault
from tests.chaos.lab import Lab, same
from tests.chaos.states import RUNS

ASK = """
import pynvml
pynvml.nvmlInit()
try:
    print(pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0)))
except pynvml.NVMLError as error:
    print(error)
"""


class NvmlFault(Fault):
    """The library answers as it should not for 3 s."""

    of = "nvml"
    holds_s = 3.0
    changes: ClassVar[dict[str, Any]]

    def do(self, lab: Lab) -> None:
        lab.fake.change_keys(self.changes)

    def undo(self, lab: Lab) -> None:
        lab.fake.change_keys(dict.fromkeys(self.changes))


class Lost(NvmlFault):
    """Seen by another process that asks the library."""

    name = "GPU lost for 3 s"
    changes: ClassVar = {"gpu.0.lost": 1}

    def seen(self, lab: Lab) -> str:
        command = [sys.executable, "-c", ASK]
        env = {**os.environ, **lab.fake.env}
        said = subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout
        return f"another process: {said.strip()}" if "lost" in said else ""


class Hangs(NvmlFault):
    """Seen by the library, which writes down who hangs in it."""

    name = "a call of NVML hangs for 3 s"
    changes: ClassVar = {"hang.nvmlDeviceGetPowerUsage": 1}

    def prepare(self, lab: Lab) -> None:
        self.note = Path(f"{lab.fake.path}.hangs")
        self.note.unlink(missing_ok=True)

    def seen(self, lab: Lab) -> str:
        return f"process {self.note.read_text()} hangs in it" if self.note.exists() else ""


class Aborts(NvmlFault):
    """The library ends the reader; seen in /proc."""

    name = "NVML ends its reader (abort) for 3 s"
    changes: ClassVar = {"gpu.0.fault.power": "abort"}

    def prepare(self, lab: Lab) -> None:
        self.readers = lab.readers()
        assert self.readers, "no reader"

    def seen(self, lab: Lab) -> str:
        return "" if all(map(same, self.readers)) else "a reader is gone from /proc"


class Xid(Fault):
    """An Xid that says that a GPU has to be reset; seen by Prometheus on the page."""

    name = "Xid 79 of its GPU"
    number: ClassVar[int] = 79
    _events = 0

    def prepare(self, lab: Lab) -> None:
        self.before = self._count(lab)

    def _count(self, lab: Lab) -> float:
        query = f'sum(vllmd_gpu_xid_errors_total{{xid="{self.number}"}})'
        return lab.prometheus.value(query) or 0

    def do(self, lab: Lab) -> None:
        type(self)._events += 1
        lab.fake.change_keys({"event": f"{self._events} 0 {self.number}"})

    def seen(self, lab: Lab) -> str:
        now = self._count(lab)
        return f"Prometheus: {now:.0f} of xid={self.number}" if now > self.before else ""


class Xid31(Xid):
    name = "Xid 31 of its GPU"
    number = 31


WEIGHTS: dict[str, Any] = {
    "needs_weights": True,
    "states": RUNS - {"sleeping"} | {"backoff", "held"},
}
FAULTS: tuple[type[Fault], ...] = (
    signal_fault("kill -9 of a reader of GPUs", "reader", signal.SIGKILL),
    signal_fault("SIGSTOP of a reader of GPUs for 3 s", "reader", signal.SIGSTOP, holds_s=3.0),
    Lost,
    Hangs,
    Aborts,
    Xid31,
    signal_fault(
        "SIGSTOP of a process with kept weights", "weights", signal.SIGSTOP, holds_s=2.0, **WEIGHTS
    ),
    # after that one, as nothing is kept again before the engine's next start
    signal_fault("kill -9 of a process with kept weights", "weights", signal.SIGKILL, **WEIGHTS),
)
