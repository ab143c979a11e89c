"""tests/fuzz: known input is taken, what is wrong is found and made small, bounds hold."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.bounds import TookTooLongError, bounded_cpu
from tests.fuzz.child import InHand, Trying
from tests.fuzz.inputs import damaged, smaller
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]


def boom(data: bytes) -> None:
    if b"boom" in data:
        raise KeyError("boom")
    if b"hang" in data:
        while True:
            pass


MISTAKEN = Target("mistaken", boom, lambda: [b"a boom", b"b"])


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_known_input_is_no_mistake(name: str) -> None:
    target = TARGETS[name]
    corpus = target.corpus()
    assert corpus
    for data in corpus:
        target.run(data)


def test_one_finds_a_mistake_once_and_makes_it_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trying = Trying(MISTAKEN, InHand(tmp_path / "input"), 1)
    for data in (b"well", b"x" * 100 + b"a boom it is", b"boom again"):
        trying.one(data)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [found] = [each["found"] for each in said if "found" in each]
    assert bytes.fromhex(found["input"]) == b"boom"
    assert found["kind"].startswith("KeyError in ")


def test_smaller_keeps_what_makes_it_so() -> None:
    assert smaller(b"aa(bb)cc" * 20, lambda data: b"(" in data and b")" in data) == b"()"


def test_damaged_is_the_same_by_the_same_chance() -> None:
    import random

    made = [damaged(b"abc" * 9, random.Random(5), [b"xyz"], [b"!"]) for _ in range(2)]
    assert made[0] == made[1]
    drawn = {damaged(b"abc" * 9, random.Random(n), [b"xyz"], [b"!"]) for n in range(50)}
    assert len(drawn) > 30


def test_bounded_cpu_tells_what_took_too_long() -> None:
    before = resource.getrlimit(resource.RLIMIT_CPU)
    with pytest.raises(TookTooLongError, match=r"more than 0\.01"), bounded_cpu(0.01):
        sum(range(5_000_000))
    assert resource.getrlimit(resource.RLIMIT_CPU) == before, "or the tests after it are ended"


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("bounds.HARD_S = 0\nwith bounds.bounded_cpu(0.5):\n  while True: pass", -signal.SIGXCPU),
        ("bounds.bound_memory(64)\nx = bytearray(500_000_000)", 1),
        ("bounds.bound_memory(64)\nx = bytearray(5_000_000)", 0),
    ],
)
def test_bounds_are_held_by_the_kernel(code: str, ended: int) -> None:
    program = f"from tests.fuzz import bounds\n{code}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == ended, done.stderr
    assert ("MemoryError" in done.stderr) is (ended == 1)


def test_report_keeps_the_input_that_ended_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzz, "OUT", tmp_path / "out")
    runs = []

    def child(target: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
        runs.append(more)
        InHand(folder / "input").put(b"the one")
        said = "#12 libFuzzer\n" + json.dumps({"tried": 3, "cpu_s": 1.5})
        return subprocess.CompletedProcess([], -24 if len(runs) == 1 else 0, said, "why")

    monkeypatch.setattr(fuzz, "child", child)
    monkeypatch.setattr(
        fuzz, "new_folder", lambda: tempfile.TemporaryDirectory(prefix="f-", dir=tmp_path)
    )
    report = fuzz.Report("shim", 7)
    report.run(60)
    assert (report.tried, report.cpu_s) == (6, 3.0)
    assert report.kinds == ["the process ended with -24"]
    path = tmp_path / "out" / "shim-7-0"
    assert path.read_bytes() == b"the one"
    assert f"make fuzz REPLAY={path}" in capsys.readouterr().out
    assert runs[1][-2:] == ("--known", json.dumps(report.kinds))


@pytest.mark.long
def test_a_file_is_tried_again_and_says_whether_it_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        fuzz, "new_folder", lambda: tempfile.TemporaryDirectory(prefix="f-", dir=tmp_path)
    )
    path = tmp_path / "shim-1-0"
    path.write_bytes(b'{"op": "status"}\n')
    assert fuzz.replay(path) == 0
    assert "nothing is wrong with it" in capsys.readouterr().out
