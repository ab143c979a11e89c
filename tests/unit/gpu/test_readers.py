"""Both readers through the real pynvml; every row in turn: tests/integration/test_gpu_faults.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.nvml import UUID
from tests.helpers.nvml_faults import FAST_KEYS, GPU_2, SLOW_KEYS, FaultScene, faulty
from vllmd.events.gpu import GpuRowDisabled
from vllmd.gpu.calls import RowKey
from vllmd.gpu.latest import Periods
from vllmd.gpu.reader_process import ReaderProcess
from vllmd.gpu.readers import DisabledRow, Readers
from vllmd.util.clock import SystemClock

NVLINK = "nvlink_transmit_bytes_total"
ECC = "ecc_errors_total:uncorrected"


def has_started(process: ReaderProcess, times: int) -> Callable[[], bool]:
    return lambda: process.figures.starts >= times


def fast_starts(scene: FaultScene) -> int:
    return scene.readers.fast.figures.starts


@pytest.mark.long
@pytest.mark.parametrize("fault", ["abort", "segfault", "corrupt", "hang"])
async def test_slow_row_that_ends_or_hangs_the_reader_is_lost_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async with faulty(tmp_path, monkeypatch) as scene:
        with capture_logs() as logs:
            await scene.is_lost_alone(NVLINK, SLOW_KEYS, fault)
        assert set(scene.readers.slow_guard.left_out) == {RowKey(UUID, NVLINK)}
        assert NVLINK in scene.values("slow", GPU_2)
        assert scene.readers.problem is None
        assert fast_starts(scene) == 1, "the fast readings were not touched"
        told = [each for each in logs if each["event"] == GpuRowDisabled.name]
        assert (told[-1]["uuid"], told[-1]["row"]) == (UUID, NVLINK)


async def test_fast_row_that_ends_the_reader_is_lost_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty(tmp_path, monkeypatch) as scene:
        await scene.is_lost_alone("power_watts", FAST_KEYS, "abort")
        assert scene.readers.disabled() == (DisabledRow(UUID, "power_watts", "crashed"),)
        assert scene.readers.slow is not None
        assert scene.readers.slow.figures.starts == 1


async def test_all_rows_of_a_call_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty(tmp_path, monkeypatch) as scene:
        await scene.is_lost_alone("remapped_rows:corrected", SLOW_KEYS, "abort")
        assert [each.row for each in scene.readers.disabled()] == [
            "remapped_rows:corrected",
            "remapped_rows:uncorrected",
            "row_remap_pending",
            "row_remap_failed",
        ]


@pytest.mark.long
async def test_wait_for_events_that_hangs_costs_the_events_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty(tmp_path, monkeypatch) as scene:
        events = RowKey("", "xid_events")
        scene.fake.change_keys({"hang.nvmlEventSetWait_v2": 1})
        await scene.until("its end", lambda: events in scene.readers.slow_guard.left_out)
        count = scene.count["slow"]
        await scene.until("readings", lambda: scene.count["slow"] > count + 3)


@pytest.mark.long
async def test_readers_that_are_killed_lose_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty(tmp_path, monkeypatch) as scene:
        slow = scene.readers.slow
        assert slow is not None
        for starts in (2, 3, 4):
            process = slow.process
            assert process is not None
            process.kill()
            await scene.until("a start", has_started(slow, starts))
        assert scene.readers.disabled() == ()
        assert not scene.readers.slow_guard.careful


def test_other_settings_keep_what_was_found_out() -> None:
    def made() -> Readers:
        return Readers("nvml", Periods(), print, lambda: None, SystemClock())

    before, after = made(), made()
    before.slow_guard.left_out[RowKey(UUID, ECC)] = "crashed"
    before.fast.figures.starts = 3
    after.go_on_from(before)
    assert after.disabled() == (DisabledRow(UUID, ECC, "crashed"),)
    assert after.figures().starts == 3


def test_demonstration_is_one_process() -> None:
    readers = Readers("demo", Periods(), print, lambda: None, SystemClock())
    assert [part.name for part in readers.parts()] == ["gpu_reader"]
