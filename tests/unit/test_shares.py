"""tests/helpers/shares.py: each file of unit tests is in one share."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.shares import VARIABLE, is_left_to_others, share_of

ROOT = Path(__file__).parents[2]
UNIT = Path(__file__).parent
CONFTEST = """
from pathlib import Path
from tests.helpers.shares import is_left_to_others
def pytest_ignore_collect(collection_path):
    return is_left_to_others(collection_path, Path(__file__).parent) or None
"""


def of_worker(monkeypatch: pytest.MonkeyPatch, number: int, count: int) -> set[Path]:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(count))
    return {path for path in UNIT.rglob("test_*.py") if not is_left_to_others(path, UNIT)}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_file_is_in_one_share(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    found = Counter(path for own in range(count) for path in of_worker(monkeypatch, own, count))
    assert found == dict.fromkeys(UNIT.rglob("test_*.py"), 1)


def test_without_shares_a_worker_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert of_worker(monkeypatch, 1, 3) == set(UNIT.rglob("test_*.py"))


def test_what_is_no_file_of_tests_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    for own in range(3):
        of_worker(monkeypatch, own, 3)
        assert not is_left_to_others(UNIT / "conftest.py", UNIT)
        assert not is_left_to_others(UNIT / "engine", UNIT)


def run(
    folder: Path, pytest_: Sequence[str], cache: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), *cache]
    options += ["-n", "2", "--dist", "each", "--max-worker-restart=0"]
    command = [*pytest_, *options, f"--basetemp={folder / 't'}", str(folder)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {VARIABLE: "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        ("assert True", "4 passed"),
        ("assert False", "1 failed, 3 passed"),
        ("import os; os._exit(1)", "1 failed"),
        ("pass\nimport nowhere", "1 error"),
    ],
)
def test_each_test_is_run_once_and_what_fails_in_a_share_fails_the_run(
    tmp_path: Path, last: str, outcome: str
) -> None:
    names = [f"test_{letter}.py" for letter in "abcd"]
    assert {share_of(name, 2) for name in names} == {0, 1}
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in names:
        text = last if name == names[-1] else "pass"
        (tmp_path / name).write_text(f"def test_it():\n    {text}\n")
    done = run(tmp_path, [sys.executable, "-m", "pytest"], ["-p", "no:cacheprovider"])
    assert outcome in done.stdout, done.stdout + done.stderr
    assert (done.returncode == 0) == (last == "assert True")


FAILS_ONCE = """
import pathlib
def test_it():
    mark = pathlib.Path(__file__).with_suffix(".mark")
    failed_before = mark.exists()
    mark.touch()
    assert failed_before
"""


@pytest.mark.long
def test_what_fails_in_a_share_is_tried_once_more_by_itself(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for letter in "abc":
        (tmp_path / f"test_{letter}.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "test_d.py").write_text(FAILS_ONCE)
    again = [str(ROOT / "tools" / "once-more.sh"), sys.executable, "-m", "pytest"]
    done = run(tmp_path, again, ["-o", f"cache_dir={tmp_path / 'cache'}"])
    first, _, second = done.stdout.partition("once more, by themselves")
    assert "1 failed, 3 passed" in first
    assert "1 passed" in second
    assert "3 passed" not in second
    assert done.returncode == 0
