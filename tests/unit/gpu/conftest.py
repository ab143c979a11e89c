from pathlib import Path

import pytest

from tests.helpers.gpus import GpuScene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GpuScene:
    return GpuScene(tmp_path, monkeypatch)
