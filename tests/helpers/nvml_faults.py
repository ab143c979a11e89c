"""Both readers of GPUs on the stand-in library, whose calls crash, corrupt memory or hang."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.helpers.nvml import UUID, FakeNvml, h200
from vllmd.gpu import reader_process, row_guard
from vllmd.gpu.calls import RowKey
from vllmd.gpu.latest import Periods
from vllmd.gpu.reader_process import ReaderProcess
from vllmd.gpu.readers import Readers
from vllmd.gpu.rows import FAST, ONCE, SAME_CALL, SLOW, Field
from vllmd.util.clock import SystemClock

GPU_2 = "GPU-00000000-0000-0000-0000-000000000002"
_KEYS = {
    "nvmlDeviceGetMemoryInfo": "memory",
    "nvmlDeviceGetUtilizationRates": "utilization",
    "nvmlDeviceGetPowerUsage": "power",
    "nvmlDeviceGetTemperature": "temperature",
    "nvmlDeviceGetClockInfo": "clock",
    "nvmlDeviceGetMaxClockInfo": "clock_max",
    "nvmlDeviceGetCurrentClocksEventReasons": "reasons",
    "nvmlDeviceGetEnforcedPowerLimit": "power_limit",
    "nvmlDeviceGetTotalEnergyConsumption": "energy",
    "nvmlDeviceGetTotalEccErrors": "ecc",
    "nvmlDeviceGetRemappedRows": "remapped",
    "nvmlDeviceGetPcieReplayCounter": "pcie_replays",
    "nvmlDeviceGetCurrPcieLinkGeneration": "pcie_generation",
    "nvmlDeviceGetCurrPcieLinkWidth": "pcie_width",
    "nvmlDeviceGetMaxPcieLinkGeneration": "pcie_generation_max",
    "nvmlDeviceGetMaxPcieLinkWidth": "pcie_width_max",
}


def script_keys(*when: str) -> dict[str, str]:
    """Return by the name of each call that is due then (`calls.py`) what the script calls it."""
    found = {}
    for source, rows in SAME_CALL.items():
        if rows[0].when not in when:
            continue
        if isinstance(source, Field):
            found[rows[0].key] = f"field.{getattr(pynvml, source.name)}"
        else:
            numbers = [getattr(pynvml, name) for name in source.constants]
            shown = [] if source.function in ("nvmlDeviceGetMemoryInfo",) else numbers
            shown = [] if source.function == "nvmlDeviceGetTemperature" else shown
            found[rows[0].key] = ".".join(map(str, [_KEYS[source.function], *shown]))
    return found


SLOW_KEYS = script_keys(SLOW, ONCE)
FAST_KEYS = script_keys(FAST)


class FaultScene:
    """Two GPUs, of which each row answers; no time limit passes unless a test says so."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gpus = h200(), h200(1, GPU_2, pci="00000000:00:07.0")
        self.fake = FakeNvml(folder, *gpus)
        more: dict[str, Any] = {"stir": 1}
        for key in (*SLOW_KEYS.values(), *FAST_KEYS.values()):
            for gpu in (0, 1):
                plain = "1 1" if key.startswith("field.") else "1"
                more.setdefault(f"gpu.{gpu}.{key}", self.fake.script.get(f"gpu.{gpu}.{key}", plain))
        self.fake.change_keys(more)
        for name, value in self.fake.env.items():
            monkeypatch.setenv(name, value)
        self.hangs = Path(f"{self.fake.path}.hangs")
        monkeypatch.setattr(reader_process, "FIRST_PAUSE_S", 0.01)
        monkeypatch.setattr(reader_process, "CRASH_PAUSE_S", 0.01)
        monkeypatch.setattr(reader_process, "CAREFUL_S", 0.02)
        monkeypatch.setattr(reader_process, "LAST_LOOK_S", 0.05)
        monkeypatch.setattr(row_guard, "TRIAL_ROUNDS", 3)
        monkeypatch.setattr(row_guard, "TRIAL_LIVES", 0.0)
        self._limits: dict[str, asyncio.Timeout] = {}
        monkeypatch.setattr(ReaderProcess, "limit", lambda process, _: self._limit(process))
        self.last: dict[str, Mapping[str, Any]] = {}
        self.count: dict[str, int] = {}
        periods = Periods(0.05, 0.1, 0.05)
        self.readers = Readers("nvml", periods, self._take, lambda: None, SystemClock())

    def _limit(self, process: ReaderProcess) -> asyncio.Timeout:
        made = asyncio.timeout(None)
        self._limits[process.reads] = made
        return made

    def _take(self, message: Mapping[str, Any]) -> None:
        self.last[message["kind"]] = message
        self.count[message["kind"]] = self.count.get(message["kind"], 0) + 1

    def _late(self) -> None:
        """Let the time limit be over for whoever waits for a reader that hangs."""
        hangs = self.hangs.read_text() if self.hangs.exists() else ""
        for each in (self.readers.fast, self.readers.slow):
            if each is not None and each.process is not None and str(each.process.pid) == hangs:
                with contextlib.suppress(RuntimeError):  # it is over
                    self._limits[each.reads].reschedule(asyncio.get_running_loop().time())

    async def until(self, what: str, ask: Callable[[], bool]) -> None:
        """Wait for something; a reader that hangs meanwhile is late."""
        for _ in range(30_000):
            if ask():
                return
            self._late()
            await asyncio.sleep(0.002)
        pytest.fail(f"never came: {what}; {self.readers.disabled()} {self.readers.problem}")

    def values(self, kind: str, uuid: str) -> set[str]:
        """Return which rows the last message of a kind has of a GPU."""
        return set(self.last[kind]["values"][uuid]) if kind in self.last else set()

    async def is_lost_alone(self, call: str, keys: Mapping[str, str], fault: str) -> None:
        """Let a call of GPU 0 fail; wait until it is left out, and all others are read again."""
        guard = self.readers.slow_guard if keys is SLOW_KEYS else self.readers.fast_guard
        self.fake.change_keys({f"gpu.0.fault.{keys[call]}": fault})
        slow = self.readers.slow
        if call in script_keys(ONCE) and slow is not None and slow.process is not None:
            slow.process.kill()  # it is read at the next start
        await self.until("its end", lambda: RowKey(UUID, call) in guard.left_out)
        await self.until("calm", lambda: not guard.careful)
        often = SLOW if keys is SLOW_KEYS else FAST
        before = self.count[often]
        await self.until("readings again", lambda: self.count[often] > before + 1)
        left = set(guard.left_out)
        for kind in {SLOW, ONCE} if keys is SLOW_KEYS else {FAST}:
            wanted = script_keys(kind)
            for uuid in (UUID, GPU_2):
                out = {key.row for key in left if key.uuid == uuid}
                missing = wanted.keys() - out - self.values(kind, uuid)
                assert not missing, f"{call} {fault}: {missing} of {uuid} lost too"


@asynccontextmanager
async def faulty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultScene]:
    """Run both readers."""
    scene = FaultScene(folder, monkeypatch)
    both = (scene.readers.fast, scene.readers.slow)
    tasks = [asyncio.create_task(each.run()) for each in both if each]
    try:
        await scene.until("readings", lambda: {FAST, SLOW, ONCE} <= scene.last.keys())
        yield scene
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
