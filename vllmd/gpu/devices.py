"""The devices that NVML knows, and what can be read of each. A part of the reader's process."""

from collections.abc import Iterator, Sequence
from typing import Any

import pynvml as nvml

from vllmd.gpu.rows import FAST, MEMORY, ONCE, ROWS, SLOW, Call, Field, NvmlRow
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

    def __init__(self, handle: Any, record: DeviceRecord, *, divided: bool = False) -> None:
        self.handle = handle
        self.record = record
        self.divided = divided
        """Whether it is divided into instances: its processes are listed there."""
        self.rows = {when: [r for r in ROWS if r.when == when] for when in (FAST, SLOW, ONCE)}
        self.lost: str | None = None

    @property
    def uuid(self) -> str:
        """Its name for ever."""
        return self.record["uuid"]

    def read(self, when: str, errors: dict[int, int]) -> dict[str, float]:
        """Return the figures that are due, by `NvmlRow.key`; what fails now is counted."""
        values: dict[str, float] = {}
        answers: dict[Call, Any] = {}
        fields: list[tuple[NvmlRow, Field]] = []
        for row in self.rows[when]:
            if isinstance(row.source, Field):
                fields.append((row, row.source))
                continue
            if row.source not in answers:
                answers[row.source] = self._ask(row.source, errors)
            answer = answers[row.source]
            if answer is not None:
                values[row.key] = row.take(answer)
        if fields:
            self._read_fields(fields, values, errors)
        return values

    def _ask(self, call: Call, errors: dict[int, int]) -> Any:
        arguments = [getattr(nvml, name) for name in call.constants]
        try:
            return getattr(nvml, call.function)(self.handle, *arguments)
        except nvml.NVMLError as error:
            if call is MEMORY and error.value == nvml.NVML_ERROR_INVALID_ARGUMENT:
                self.lost = "invalid_handle"
            elif self._failed(error.value, errors):
                self._drop(call)
            return None

    def _read_fields(
        self,
        wanted: Sequence[tuple[NvmlRow, Field]],
        values: dict[str, float],
        errors: dict[int, int],
    ) -> None:
        ids = [
            getattr(nvml, f.name) if f.scope is None else (getattr(nvml, f.name), f.scope)
            for _, f in wanted
        ]
        try:
            answers = nvml.nvmlDeviceGetFieldValues(self.handle, ids)
        except nvml.NVMLError as error:
            if self._failed(error.value, errors):
                for _, field in wanted:
                    self._drop(field)
            return
        for (row, field), answer in zip(wanted, answers, strict=True):
            if answer.nvmlReturn != nvml.NVML_SUCCESS:
                if self._failed(answer.nvmlReturn, errors):
                    self._drop(field)
            elif answer.valueType < len(_VALUE_TYPES):
                values[row.key] = row.take(getattr(answer.value, _VALUE_TYPES[answer.valueType]))

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

    def processes(self) -> list[tuple[int, int | None]]:
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


def all_devices() -> Iterator[NvmlDevice]:
    """Yield every GPU, each followed by its instances if it is divided (MIG)."""
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            record: DeviceRecord = {
                "uuid": nvml.nvmlDeviceGetUUID(handle),
                "index": index,
                "name": nvml.nvmlDeviceGetName(handle),
                "pci_bus_id": nvml.nvmlDeviceGetPciInfo(handle).busId,
            }
        except nvml.NVMLError as error:
            if error.value in FATAL:
                raise
            continue  # lost: the daemon misses its UUID
        divided = is_divided(handle)
        yield NvmlDevice(handle, record, divided=divided)
        if divided:
            yield from _instances(handle, record)


def is_divided(handle: Any) -> bool:
    """Tell whether a GPU is divided into instances."""
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE)
    except nvml.NVMLError:
        return False


def _instances(parent: Any, record: DeviceRecord) -> Iterator[NvmlDevice]:
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
            )
        except nvml.NVMLError:
            continue  # a hole: not every index has an instance
