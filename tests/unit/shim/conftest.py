from pathlib import Path

import pytest

from tests.helpers.shim_loop import Loop


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path / "s.sock")
