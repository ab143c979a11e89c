"""A test that waits for ever ends: pytest as it is configured here, with a shorter bound."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
ENDLESS = """
import threading
def test_that_waits_for_ever() -> None:
    threading.Event().wait()
def test_beside_it() -> None:
    pass
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_test_that_waits_for_ever_fails_and_is_named(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", "-n", str(workers)]
    bound = ["-o", "faulthandler_timeout=1", f"--basetemp={tmp_path / 't'}"]
    command = [sys.executable, "-m", "pytest", *options, *bound, str(tmp_path / "test_endless.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "in test_that_waits_for_ever" in done.stderr + done.stdout
    assert not workers or "1 failed, 1 passed" in done.stdout
