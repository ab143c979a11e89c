"""The devices that NVML knows, and what can be read of each. A part of the reader's process."""

from collections.abc import Iterator
from typing import Any

import pynvml as nvml

from vllmd.gpu import host_memory
from vllmd.gpu.calls import MIG_MODE, PROCESSES, CallLog, RowKey
from vllmd.gpu.rows import FAST, MEMORY, ONCE, ROWS, SAME_CALL, SLOW, Call, Field
from vllmd.gpu.wire import DeviceRecord

UNSUPPORTED = frozenset(
    {
        nvml.NVML_ERROR_NOT_SUPPORTED,
        nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        nvml.NVML_ERROR_INVALID_ARGUMENT,
        nvml.NVML_ERROR_NO_PERMISSION,
        nvml.NVML_ERROR_DEPRECATED,
        nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
"""A device that answers so once is not asked that again."""
LOST = {
    nvml.NVML_ERROR_GPU_IS_LOST: "lost",
    nvml.NVML_ERROR_RESET_REQUIRED: "reset_required",
    nvml.NVML_ERROR_GPU_NOT_FOUND: "lost",
}
PROBLEMS = {
    nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no_library",
    nvml.NVML_ERROR_DRIVER_NOT_LOADED: "no_driver",
    nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver_mismatch",
    nvml.NVML_ERROR_NO_PERMISSION: "no_permission",
    nvml.NVML_ERROR_GPU_NOT_FOUND: "no_gpu",
    nvml.NVML_ERROR_UNINITIALIZED: "uninitialized",
}
FATAL = frozenset(PROBLEMS) - {nvml.NVML_ERROR_NO_PERMISSION, nvml.NVML_ERROR_GPU_NOT_FOUND}
"""After these, no later call will do better: only another process may."""

_VALUE_TYPES = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""The member of a field's value, by its type. Source: nvml.h, nvmlValueType_t."""


class NvmlDevice:
    """One GPU or instance, and what can be read of it."""

    def __init__(
        self, handle: Any, record: DeviceRecord, calls: CallLog, *, divided: bool = False
    ) -> None:
        """Make it; one that has no memory of its own is told so in its record."""
        self.handle = handle
        self.record = record
        self.divided = divided
        """Whether it is divided into instances: its processes are listed there."""
        self.calls = calls
        self.rows = {
            when: [r for r in ROWS if r.when == when and not self.leaves_out(_name(r.source))]
            for when in (FAST, SLOW, ONCE)
        }
        self.lost: str | None = None
        if self._shares_memory():
            record["unified"] = True
            self._drop(MEMORY)

    @property
    def uuid(self) -> str:
        """Its name for ever."""
        return self.record["uuid"]

    @property
    def is_unified(self) -> bool:
        """Whether its memory is the host's."""
        return self.record.get("unified", False)

    def _shares_memory(self) -> bool:
        """Ask for its memory once; what fails otherwise is seen when it is read.

        A GB10 and a Jetson answer that it is not supported, or that there is none.
        """
        name = _name(MEMORY)
        if self.divided or "parent" in self.record or self.leaves_out(name):
            return False
        self.calls.begin(self.uuid, name)
        try:
            return not self._total_memory()
        except nvml.NVMLError as error:
            return bool(error.value == nvml.NVML_ERROR_NOT_SUPPORTED)
        finally:
            self.calls.end()

    def _total_memory(self) -> int:
        """Return it in bytes. Raises: nvml.NVMLError: it cannot be had."""
        try:
            return int(self._call(MEMORY).total)
        except nvml.NVMLError as error:
            if error.value != nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                raise
            return int(nvml.nvmlDeviceGetMemoryInfo(self.handle).total)  # an older driver

    def leaves_out(self, name: str) -> bool:
        """Tell whether a call is not to be made: it crashed or hung."""
        return RowKey(self.record["uuid"], name) in self.calls.left_out

    def read(self, when: str, errors: dict[int, int]) -> dict[str, float]:
        """Return the figures that are due, by `NvmlRow.key`; what fails now is counted."""
        values: dict[str, float] = {}
        answers: dict[Call | Field, Any] = {}
        for row in self.rows[when]:
            if row.source not in answers:
                answers[row.source] = self._ask(row.source, errors)
            answer = answers[row.source]
            if answer is not None:
                values[row.key] = row.take(answer)
        if when == FAST and self.is_unified and (memory := host_memory.read()) is not None:
            figures = memory.as_gpu_memory().items()
            values |= {f"memory_{name}_bytes": float(size) for name, size in figures}
        return values

    def _ask(self, source: Call | Field, errors: dict[int, int]) -> Any:
        self.calls.begin(self.uuid, _name(source))
        try:
            return _field(self.handle, source) if isinstance(source, Field) else self._call(source)
        except nvml.NVMLError as error:
            if source is MEMORY and error.value == nvml.NVML_ERROR_INVALID_ARGUMENT:
                self.lost = "invalid_handle"
            elif self._failed(error.value, errors):
                self._drop(source)
            return None
        finally:
            self.calls.end()

    def _call(self, call: Call) -> Any:
        arguments = [getattr(nvml, name) for name in call.constants]
        return getattr(nvml, call.function)(self.handle, *arguments)

    def _failed(self, code: int, errors: dict[int, int]) -> bool:
        """Take note of a failure; tell whether asking again is of no use.

        Raises: nvml.NVMLError: nothing can be asked any more.
        """
        if code in UNSUPPORTED:
            return True
        if code in FATAL:
            raise nvml.NVMLError(code)
        if code in LOST:
            self.lost = LOST[code]
        errors[code] = errors.get(code, 0) + 1
        return False

    def _drop(self, source: Call | Field) -> None:
        for when, rows in self.rows.items():
            self.rows[when] = [row for row in rows if row.source != source]

    def listing(self) -> dict[str, Any] | None:
        """Return who has how much, with the memory of the same moment.

        Returns: `memory` and `processes`, as `wire.py` has them; None if they cannot be had now.

        Raises: nvml.NVMLError: nothing can be asked any more.
        """
        if self.leaves_out(PROCESSES):
            return None
        self.calls.begin(self.uuid, PROCESSES)
        try:
            return {
                "memory": self._memory(),
                "processes": [] if self.divided else self._processes(),
            }
        except nvml.NVMLError as error:
            if error.value in FATAL:
                raise
            return None
        finally:
            self.calls.end()

    def _memory(self) -> dict[str, int]:
        if not self.is_unified:
            own = self._call(MEMORY)
            return {k: getattr(own, k) for k in ("total", "free", "used", "reserved")}
        return (host_memory.read() or host_memory.HostMemory(0, 0)).as_gpu_memory()

    def _processes(self) -> list[tuple[int, int | None]]:
        """List who has memory here: compute, graphics and MPS; bytes are None where not known."""
        found: dict[int, int | None] = {}
        for function in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
            nvml.nvmlDeviceGetMPSComputeRunningProcesses,
        ):
            try:
                listed = function(self.handle)
            except nvml.NVMLError as error:
                if error.value in FATAL:
                    raise
                continue
            for process in listed:
                if found.get(process.pid) is None:
                    found[process.pid] = process.usedGpuMemory
        return list(found.items())

    def is_divided(self) -> bool:
        """Tell whether it is divided into instances now."""
        return (
            self.divided
            if "parent" in self.record
            else _divided(self.handle, self.uuid, self.calls)
        )


def _name(source: Call | Field) -> str:
    return SAME_CALL[source][0].key


def _field(handle: Any, field: Field) -> Any:
    """Return the value of a field; None if it is of a type that is not known.

    Raises: nvml.NVMLError: it cannot be had.
    """
    number = getattr(nvml, field.name)
    wanted = number if field.scope is None else (number, field.scope)
    (answer,) = nvml.nvmlDeviceGetFieldValues(handle, [wanted])
    if answer.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(answer.nvmlReturn)
    if answer.valueType >= len(_VALUE_TYPES):
        return None
    return getattr(answer.value, _VALUE_TYPES[answer.valueType])


def all_devices(calls: CallLog) -> Iterator[NvmlDevice]:
    """Yield every GPU, each followed by its instances if it is divided (MIG)."""
    kept_out = 0
    for number in range(nvml.nvmlDeviceGetCount()):
        index = number - kept_out  # CUDA counts those that this process may use
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            record: DeviceRecord = {
                "uuid": nvml.nvmlDeviceGetUUID(handle),
                "index": index,
                "name": nvml.nvmlDeviceGetName(handle),
                "pci_bus_id": nvml.nvmlDeviceGetPciInfo(handle).busId,
            }
        except nvml.NVMLError as error:
            if error.value in FATAL:
                raise
            kept_out += error.value == nvml.NVML_ERROR_NO_PERMISSION  # a container was not given it
            continue  # lost: the daemon misses its UUID
        divided = _divided(handle, record["uuid"], calls)
        yield NvmlDevice(handle, record, calls, divided=divided)
        if divided:
            yield from _instances(handle, record, calls)


def _divided(handle: Any, uuid: str, calls: CallLog) -> bool:
    if RowKey(uuid, MIG_MODE) in calls.left_out:
        return False
    calls.begin(uuid, MIG_MODE)
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE)
    except nvml.NVMLError:
        return False
    finally:
        calls.end()


def _instances(parent: Any, record: DeviceRecord, calls: CallLog) -> Iterator[NvmlDevice]:
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(parent)):
        try:
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, index)
            yield NvmlDevice(
                handle,
                {
                    "uuid": nvml.nvmlDeviceGetUUID(handle),
                    "index": record["index"],
                    "name": nvml.nvmlDeviceGetName(handle),
                    "pci_bus_id": record["pci_bus_id"],
                    "parent": record["uuid"],
                    "gpu_instance": nvml.nvmlDeviceGetGpuInstanceId(handle),
                    "compute_instance": nvml.nvmlDeviceGetComputeInstanceId(handle),
                },
                calls,
            )
        except nvml.NVMLError:
            continue  # a hole: not every index has an instance
