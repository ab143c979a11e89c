"""Each row that is read seldom, and each that is read often, ends or hangs its reader in turn."""

from pathlib import Path

import pytest

from tests.helpers.nvml import UUID
from tests.helpers.nvml_faults import FAST_KEYS, SLOW_KEYS, faulty
from vllmd.gpu.calls import RowKey

FAULTS = ["abort", "corrupt", "hang"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_slow_row_is_lost_alone_and_the_fast_readings_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async with faulty(tmp_path, monkeypatch) as scene:
        for number, call in enumerate(SLOW_KEYS, 1):
            await scene.is_lost_alone(call, SLOW_KEYS, fault)
            lost = {RowKey(UUID, each) for each in list(SLOW_KEYS)[:number]}
            assert set(scene.readers.slow_guard.left_out) == lost
        assert scene.readers.fast.figures.starts == 1
        assert scene.readers.problem is None


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fast_row_is_lost_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """But of memory: the list of processes asks for that, too."""
    async with faulty(tmp_path, monkeypatch) as scene:
        calls = [call for call in FAST_KEYS if not call.startswith("memory_")]
        for number, call in enumerate(calls, 1):
            await scene.is_lost_alone(call, FAST_KEYS, fault)
            lost = {RowKey(UUID, each) for each in calls[:number]}
            assert set(scene.readers.fast_guard.left_out) == lost
        assert scene.readers.slow is not None
        assert scene.readers.slow.figures.starts == 1
