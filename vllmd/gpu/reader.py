"""The reader: a process of its own, and the only one that loads NVML.

A call of NVML can hang for ever, and a loaded library cannot be replaced after an upgrade of the
driver: a new process is the way out of both. It imports the standard library and pynvml only, never
calls what samples for milliseconds (`GetPcieThroughput`), and asks no more for what a device does
not support. It has one thread, and notes each call (`calls.py`): of a crash or a hang it is known
which call it was. Xids come from an event set, in which it sleeps until the next reading is due.

The daemon runs it twice: one reads what is due each second and the processes, the other all else.
"""

import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pynvml as nvml

from vllmd.gpu import wire
from vllmd.gpu.calls import EVENTS, PROCESSES, CallLog, RowKey
from vllmd.gpu.devices import PROBLEMS, NvmlDevice, all_devices
from vllmd.gpu.rows import FAST, ONCE, SLOW

DRIVER_GPUS = "/proc/driver/nvidia/gpus"
EVENT_WAIT_S = 2.0
"""How long it does not look at its standard input."""
EVENTS_RETRY_S = 60.0

Send = Callable[[bytes], None]


class ChangedError(Exception):
    """The driver has other GPUs than before."""


class Events:
    """Xids, from an event set of all whole GPUs."""

    def __init__(self, devices: Sequence[NvmlDevice], send: Send, calls: CallLog) -> None:
        self._devices = devices
        self._send = send
        self._calls = calls
        self._set: Any = None
        self._told = False
        self._off_until = 0.0
        if RowKey("", EVENTS) in calls.left_out:
            self._off_until = float("inf")

    @property
    def watched(self) -> bool:
        """Whether there is something to wait in."""
        return time.monotonic() >= self._off_until

    def wait(self, seconds: float) -> None:
        """Wait for an Xid, and tell it; a mistake in that is told once, and costs no reading."""
        self._calls.begin("", EVENTS)
        try:
            if self._set is None:
                self._set = self._registered()
            event = nvml.nvmlEventSetWait_v2(self._set, int(1000 * seconds))
            uuid = nvml.nvmlDeviceGetUUID(event.device)
            self._send(wire.encode("xid", at=time.time(), uuid=uuid, code=int(event.eventData)))
        except nvml.NVMLError as error:
            if self._set is None:
                self._off_until = float("inf")  # this driver has no events
            elif error.value != nvml.NVML_ERROR_TIMEOUT:
                self._off_until = time.monotonic() + EVENT_WAIT_S
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - isolates the events
            self._off_until = time.monotonic() + EVENTS_RETRY_S
            if not self._told:
                text = f"Xids are not watched: {error!r}"
                self._send(wire.encode("mistake", text=text))
            self._told = True
        finally:
            self._calls.end()

    def _registered(self) -> Any:
        events = nvml.nvmlEventSetCreate()
        for device in self._devices:
            if "parent" not in device.record:
                nvml.nvmlDeviceRegisterEvents(
                    device.handle, nvml.nvmlEventTypeXidCriticalError, events
                )
        return events


class Reader:
    """All devices, read when they are due."""

    def __init__(
        self, send: Send, periods: dict[str, float], errors: dict[int, int], calls: CallLog
    ) -> None:
        """Make it; of what has no period nothing is read."""
        self._send = send
        self._periods = periods
        self._errors = errors
        self._calls = calls
        self._devices: list[NvmlDevice] = []
        self._events: Events | None = None
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
        self._devices = list(all_devices(self._calls))
        if not self._devices:
            raise nvml.NVMLError(nvml.NVML_ERROR_GPU_NOT_FOUND)
        if SLOW in self._periods:
            self._events = Events(self._devices, self._send, self._calls)
        self._tell_devices()

    def _tell_devices(self) -> None:
        self._send(wire.encode("devices", devices=[d.record for d in self._devices]))
        if SLOW in self._periods:
            self.read(ONCE)

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
            events = self._events
            if events is not None and events.watched and not _readable(commands, 0.0):
                events.wait(min(left, EVENT_WAIT_S))
                left = 0.0
            if _readable(commands, left):
                words = os.read(commands, 4096)
                if not words:
                    return
                for line in words.decode(errors="replace").splitlines():
                    self._handle_request(line.split(), due)

    def _handle_request(self, words: list[str], due: dict[str, float]) -> None:
        if words[:1] == [PROCESSES]:
            due[PROCESSES] = time.monotonic()
        elif words[:1] == ["pace"] and len(words) == 3 and words[1] in self._periods:
            what, seconds = words[1], float(words[2])
            self._periods[what] = seconds
            due[what] = min(due[what], time.monotonic() + seconds)

    def _do(self, what: str) -> None:
        if what == PROCESSES:
            self._look_for_changes()
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
        listed = {device.uuid: device.listing() for device in self._devices}
        devices = {uuid: listing for uuid, listing in listed.items() if listing is not None}
        took_s = time.monotonic() - began
        self._send(wire.encode(PROCESSES, at=time.time(), took_s=took_s, devices=devices))

    def _look_for_changes(self) -> None:
        """Notice GPUs that came or went, and instances that were made or removed.

        Raises: ChangedError: NVML would have to be loaded again to see them.
        """
        if _listdir(DRIVER_GPUS) != self._driver_gpus:
            raise ChangedError
        if not any("parent" in d.record or d.is_divided() for d in self._devices):
            return
        found = list(all_devices(self._calls))
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


def _readable(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _write(line: bytes) -> None:
    """Send one line.

    Raises: BrokenPipeError: nobody reads it any more.
    """
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]


def main(arguments: Sequence[str]) -> int:
    """Read until standard input is closed.

    `arguments` are seconds: fast, processes, slow; 0 for what this process is not to read. It exits
    with 0 also where there is nothing to read: why is told.
    """
    seconds = zip((FAST, PROCESSES, SLOW), map(float, arguments), strict=True)
    reader = Reader(_write, {what: s for what, s in seconds if s}, {}, CallLog.inherited())
    try:
        nvml.nvmlInit()
        reader.begin()
        reader.run(sys.stdin.fileno())
    except ChangedError:
        text = f"{DRIVER_GPUS} has other GPUs than before"
        _write(wire.encode("problem", reason="devices_changed", text=text))
    except nvml.NVMLError as error:
        reason = PROBLEMS.get(error.value, "nvml_error")
        _write(wire.encode("problem", reason=reason, text=str(error), code=error.value))
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    return 0
