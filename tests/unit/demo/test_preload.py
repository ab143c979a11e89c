import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.kept_weights import short_folder
from tests.helpers.site import wait_for
from vllmd.demo import preload
from vllmd.demo.args import parse_args
from vllmd.engine.weights import sockets
from vllmd.shim import proc

pytestmark = pytest.mark.long  # each test starts a process for each GPU
SERVE = ("serve", "m", "--tensor-parallel-size", "2", "--load-format", "ipc_cache")


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


@pytest.fixture
def launcher(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ("preload", "--model", "m", "--tensor-parallel-size", "2")
    started = subprocess.Popen(
        [sys.executable, "-m", "vllmd.demo", *words, "--weight-cache-socket-dir", str(folder)],
        env={**os.environ, "VLLMD_STAND_IN_LOAD_S": "0"},
    )
    wait_for("both ranks", lambda: sockets.listening(folder) == 2)
    try:
        yield started
    finally:
        started.terminate()
        started.wait()


def mapped(folder: Path, model: str = "m") -> bool:
    given = ("--model-loader-extra-config", f'{{"socket_dir": "{folder}"}}')
    return preload.mapped(parse_args([SERVE[0], model, *SERVE[2:], *given]))


def test_engine_maps_what_is_kept_as_often_as_it_likes(
    folder: Path, launcher: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert mapped(folder)
    assert mapped(folder)
    assert "Mapped 0 tensors from the weight cache daemon" in "".join(capfd.readouterr())


def test_engine_of_another_model_or_with_nobody_there_loads_by_itself(
    folder: Path, launcher: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert not mapped(folder, "other")
    assert "mismatch on fields: ['checkpoint']" in "".join(capfd.readouterr())
    assert not mapped(folder / "none")
    assert "falling back to disk loading" in "".join(capfd.readouterr())
    assert not preload.mapped(parse_args(["serve", "m"]))


def test_killed_rank_leaves_its_file_and_the_launcher_lives_on(
    folder: Path, launcher: subprocess.Popen[bytes]
) -> None:
    rank, _ = proc.descendants(launcher.pid)
    os.kill(rank.pid, signal.SIGKILL)
    wait_for("its end", lambda: sockets.listening(folder) == 1)
    assert len(list(folder.glob("*.sock"))) == 2
    assert launcher.poll() is None


def test_second_one_for_the_same_gpus_ends(
    folder: Path, launcher: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    second = ["preload", "--model", "m", "--weight-cache-socket-dir", str(folder)]
    code = subprocess.run(
        [sys.executable, "-m", "vllmd.demo", *second],
        env={**os.environ, "VLLMD_STAND_IN_LOAD_S": "0"},
        check=False,
    ).returncode
    assert code == 1
    assert "already owns" in "".join(capfd.readouterr())


def test_load_that_is_to_fail_says_its_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(preload.FAILS, "no room")
    assert preload.main(["preload", "--model", "m", "--weight-cache-socket-dir", str(folder)]) == 1
    assert "no room" in "".join(capfd.readouterr())
