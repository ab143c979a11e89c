"""What the functions do is shown in a process of its own: test_reader.py."""

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from vllmd.gpu import devices, wire
from vllmd.gpu.calls import CallLog
from vllmd.gpu.rows import FAST, MEMORY

NOT_FOUND = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
NO_PERMISSION = pynvml.NVML_ERROR_NO_PERMISSION


def test_every_problem_has_a_word_that_is_known() -> None:
    assert set(devices.PROBLEMS.values()) <= set(wire.REASONS)


def test_no_answer_is_both_of_no_use_and_fatal() -> None:
    assert not devices.UNSUPPORTED & devices.FATAL
    assert not devices.UNSUPPORTED & devices.LOST.keys()
    assert not devices.FATAL & devices.LOST.keys()


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_TIMEOUT, pynvml.NVML_ERROR_UNKNOWN])
def test_what_may_pass_is_asked_again(code: int) -> None:
    assert code not in devices.UNSUPPORTED | devices.FATAL | devices.LOST.keys()


@pytest.mark.parametrize(
    ("second", "first", "unified"),
    [
        (NOT_FOUND, 85 * 10**9, False),
        (NOT_FOUND, NOT_SUPPORTED, True),
        (NOT_FOUND, 0, True),
        (NOT_FOUND, NOT_FOUND, False),
        (NOT_SUPPORTED, 85 * 10**9, True),
        (NO_PERMISSION, 85 * 10**9, False),
    ],
)
def test_gpu_of_an_old_driver_is_asked_by_the_first_version_whether_it_has_memory(
    second: int, first: int, unified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`second` and `first` are what those versions of the call answer: bytes, or an error."""

    def answer(_handle: Any, version: int | None = None) -> Any:
        told = first if version is None else second
        if 0 < told < 1000:
            raise pynvml.NVMLError(told)
        return SimpleNamespace(total=told)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", answer)
    device = _device()
    assert device.is_unified == unified
    if not unified:
        assert device._ask(MEMORY, {}) is None
    assert MEMORY not in {row.source for row in device.rows[FAST]}, "it is not asked again"


def test_gpu_that_is_divided_never_shares_the_hosts_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise pynvml.NVMLError(NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", refuse)
    assert _device().is_unified
    assert not _device(divided=True).is_unified


def _device(*, divided: bool = False) -> devices.NvmlDevice:
    record: wire.DeviceRecord = {"uuid": "GPU-1", "index": 0, "name": "A100", "pci_bus_id": "x"}
    return devices.NvmlDevice(None, record, CallLog(None), divided=divided)
