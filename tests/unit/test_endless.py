"""A test that waits for ever ends: pytest as it is configured here, with a shorter bound."""

import os
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


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "VLLMD_TESTS_ENDLESS_S": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_test_that_waits_for_ever_fails_and_is_named(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", "-n", str(workers)]
    options += ["-p", "tests.conftest"]
    bound = [f"--basetemp={tmp_path / 't'}"]
    command = [sys.executable, "-m", "pytest", *options, *bound, str(tmp_path / "test_endless.py")]
    done = run(command)
    assert done.returncode != 0
    assert "in test_that_waits_for_ever" in done.stderr + done.stdout
    assert not workers or "1 failed, 1 passed" in done.stdout


FAILS = """
import pathlib
def test_that_fails_as_often_as_is_wanted() -> None:
    left = pathlib.Path(__file__).with_suffix(".left")
    times = int(left.read_text())
    left.write_text(str(max(0, times - 1)))
    assert times == 0
"""


def once_more(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run tests as CI does."""
    options = ["-c", str(ROOT / "pyproject.toml"), "-o", f"cache_dir={folder / 'cache'}"]
    bound = [f"--basetemp={folder / 't'}"]
    command = [str(ROOT / "tools/once-more.sh"), sys.executable, "-m", "pytest", *options, *bound]
    paths = [str(folder / name) for name in names]
    return run([*command, "-p", "tests.conftest", *paths])


def test_what_fails_is_tried_once_more_by_itself(tmp_path: Path) -> None:
    (tmp_path / "test_fails.py").write_text(FAILS)
    for times, code in ((0, 0), (1, 0), (2, 1)):
        (tmp_path / "test_fails.left").write_text(str(times))
        done = once_more(tmp_path, "test_fails.py")
        assert (done.returncode, "once more" in done.stdout) == (code, times > 0)


def test_what_failed_in_an_earlier_run_is_not_tried_in_place_of_one_that_hung(
    tmp_path: Path,
) -> None:
    for name, text in (("fails", FAILS), ("endless", ENDLESS)):
        (tmp_path / f"test_{name}.py").write_text(text)
    (tmp_path / "test_fails.left").write_text("2")
    assert once_more(tmp_path, "test_fails.py").returncode == 1
    done = once_more(tmp_path, "test_fails.py", "test_endless.py")
    assert done.returncode != 0
    assert "in test_that_waits_for_ever" in done.stderr + done.stdout
