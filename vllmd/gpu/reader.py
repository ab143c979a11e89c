"""The reader: a process of its own, and the only one that loads NVML.

A call of NVML can hang for ever, and a loaded library cannot be replaced after an upgrade of the
driver: both are mended by another process. It imports the standard library and pynvml only, never
calls what samples for milliseconds (`GetPcieThroughput`), and asks no more for what a device does
not support. Xids come from an event set, in a thread that sleeps in the driver.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence

import pynvml as nvml

from vllmd.gpu import wire
from vllmd.gpu.devices import FATAL, PROBLEMS, NvmlDevice, all_devices, is_divided
from vllmd.gpu.rows import FAST, ONCE, SLOW

PROCESSES = "processes"
DRIVER_GPUS = "/proc/driver/nvidia/gpus"
EVENT_WAIT_MS = 10_000
EVENTS_RETRY_S = 60.0

Send = Callable[[bytes], None]


class ChangedError(Exception):
    """The driver has other GPUs than before."""


class Reader:
    """All devices, read when they are due."""

    def __init__(self, send: Send, periods: dict[str, float], errors: dict[int, int]) -> None:
        self._send = send
        self._periods = periods
        self._errors = errors
        self._devices: list[NvmlDevice] = []
        self._driver_gpus = _listdir(DRIVER_GPUS)

    def begin(self) -> None:
        """Say who reads, and what there is."""
        self._send(
            wire.encode(
                "hello",
                source="nvml",
                driver=_text(nvml.nvmlSystemGetDriverVersion),
                nvml=_text(nvml.nvmlSystemGetNVMLVersion),
                cuda=_text(_cuda),
                library=_library(),
                pid=os.getpid(),
            )
        )
        self._devices = list(all_devices())
        if not self._devices:
            raise nvml.NVMLError(nvml.NVML_ERROR_GPU_NOT_FOUND)
        self._tell_devices()

    def _tell_devices(self) -> None:
        self._send(wire.encode("devices", devices=[d.record for d in self._devices]))
        self.read(ONCE)

    def follow_events(self) -> None:
        """Watch Xids for ever; a mistake in that is told once, and costs no reading."""
        told = False
        while True:
            try:
                self.watch_events()
                return
            except BrokenPipeError:
                return
            except Exception as error:  # noqa: BLE001 - isolates the thread
                if not told:
                    text = f"Xids are not watched: {error!r}"
                    self._send(wire.encode("mistake", text=text))
                told = True
                time.sleep(EVENTS_RETRY_S)

    def watch_events(self) -> None:
        """Tell Xids as they come; returns if this driver has no events."""
        try:
            events = nvml.nvmlEventSetCreate()
            for device in self._devices:
                if "parent" not in device.record:
                    nvml.nvmlDeviceRegisterEvents(
                        device.handle, nvml.nvmlEventTypeXidCriticalError, events
                    )
        except nvml.NVMLError:
            return
        while True:
            try:
                event = nvml.nvmlEventSetWait_v2(events, EVENT_WAIT_MS)
                uuid = nvml.nvmlDeviceGetUUID(event.device)
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_TIMEOUT:
                    time.sleep(EVENT_WAIT_MS / 1000)
                continue
            self._send(wire.encode("xid", at=time.time(), uuid=uuid, code=int(event.eventData)))

    def run(self, commands: int) -> None:
        """Read until `commands` is closed.

        Raises: nvml.NVMLError, ChangedError: it cannot go on.
        """
        due = dict.fromkeys(self._periods, time.monotonic())
        while True:
            now = time.monotonic()
            for what in [each for each, at in due.items() if at <= now]:
                due[what] = max(due[what] + self._periods[what], now)
                self._do(what)
            left = max(0.0, min(due.values()) - time.monotonic())
            if select.select([commands], [], [], left)[0]:
                words = os.read(commands, 4096)
                if not words:
                    return
                for line in words.decode(errors="replace").splitlines():
                    self._handle_request(line.split(), due)

    def _handle_request(self, words: list[str], due: dict[str, float]) -> None:
        if words[:1] == [PROCESSES]:
            due[PROCESSES] = time.monotonic()
        elif words[:1] == ["pace"] and len(words) == 2:
            self._periods[PROCESSES] = float(words[1])
            due[PROCESSES] = min(due[PROCESSES], time.monotonic() + float(words[1]))

    def _do(self, what: str) -> None:
        if what == PROCESSES:
            self.list_processes()
            return
        if what == SLOW:
            self._look_for_changes()
        self.read(what)

    def read(self, when: str) -> None:
        """Read and tell what is due."""
        began = time.monotonic()
        values: dict[str, dict[str, float]] = {}
        lost: dict[str, str] = {}
        for device in self._devices:
            device.lost = None
            read = device.read(when, self._errors)
            if device.lost:
                lost[device.uuid] = device.lost
            else:
                values[device.uuid] = read
        self._send(
            wire.encode(
                when,
                at=time.time(),
                values=values,
                lost=lost,
                errors=self._errors,
                took_s=time.monotonic() - began,
                cpu_s=time.process_time(),
                rss=_resident_bytes(),
            )
        )

    def list_processes(self) -> None:
        """Tell who has how much, with the memory of the same moment."""
        began = time.monotonic()
        devices = {}
        for device in self._devices:
            try:
                memory = nvml.nvmlDeviceGetMemoryInfo(device.handle, nvml.nvmlMemory_v2)
            except nvml.NVMLError as error:
                if error.value in FATAL:
                    raise
                continue
            devices[device.uuid] = {
                "memory": {k: getattr(memory, k) for k in ("total", "free", "used", "reserved")},
                "processes": [] if device.divided else device.processes(),
            }
        took_s = time.monotonic() - began
        self._send(wire.encode(PROCESSES, at=time.time(), took_s=took_s, devices=devices))

    def _look_for_changes(self) -> None:
        """Notice GPUs that came or went, and instances that were made or removed.

        Raises: ChangedError: NVML would have to be loaded again to see them.
        """
        if _listdir(DRIVER_GPUS) != self._driver_gpus:
            raise ChangedError
        if not any("parent" in d.record or is_divided(d.handle) for d in self._devices):
            return
        found = list(all_devices())
        if {d.uuid for d in found} != {d.uuid for d in self._devices}:
            self._devices = found  # a GPU that was there before may be divided now, or whole again
            self._tell_devices()


def _text(function: Callable[[], str]) -> str:
    try:
        return function()
    except nvml.NVMLError:
        return ""


def _cuda() -> str:
    version = nvml.nvmlSystemGetCudaDriverVersion_v2()
    return f"{version // 1000}.{version % 1000 // 10}"


def _library() -> str:
    """Return the file of NVML that is loaded."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            if "libnvidia-ml.so" in line:
                return line.split(maxsplit=5)[5].strip().removesuffix(" (deleted)")
    return ""


def _listdir(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class MessageWriter:
    """Whole lines from two threads, on one pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, line: bytes) -> None:
        """Send one line.

        Raises: BrokenPipeError: nobody reads it any more.
        """
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


def main(arguments: Sequence[str]) -> int:
    """Read until standard input is closed; `arguments` are seconds: fast, processes, slow.

    It never returns, and exits with 0: why there is nothing to read is told.
    """
    fast_s, processes_s, slow_s = map(float, arguments)
    output = MessageWriter(sys.stdout.fileno())
    errors: dict[int, int] = {}
    reader = Reader(output.send, {FAST: fast_s, PROCESSES: processes_s, SLOW: slow_s}, errors)
    try:
        nvml.nvmlInit()
        reader.begin()
        threading.Thread(target=reader.follow_events, daemon=True).start()
        reader.run(sys.stdin.fileno())
    except ChangedError:
        text = f"{DRIVER_GPUS} has other GPUs than before"
        output.send(wire.encode("problem", reason="devices_changed", text=text))
    except nvml.NVMLError as error:
        reason = PROBLEMS.get(error.value, "nvml_error")
        output.send(wire.encode("problem", reason=reason, text=str(error), code=error.value))
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    os._exit(0)  # a thread may be in the driver for seconds more
