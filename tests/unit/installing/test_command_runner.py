import os
import shutil
from pathlib import Path

import pytest

from vllmd.errors import InstallError
from vllmd.installing import command_runner
from vllmd.installing.command_runner import CommandRunner, growth, size_of


def runner(folder: Path) -> CommandRunner:
    return CommandRunner(folder / "log", os.environ)


def test_failing_command_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"exited 3; all of it is in .*log") as caught:
        runner(tmp_path).run(["/bin/sh", "-c", "echo no space left; exit 3"])
    assert str(caught.value).endswith("\n  no space left")
    assert caught.value.exit_code == 1


def test_missing_program_is_said(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="cannot be run: No such file"):
        runner(tmp_path).run(["/no/program"])


def test_command_reads_text_and_its_words_are_kept(tmp_path: Path) -> None:
    runner(tmp_path).run(["/bin/cat"], text="vllm==1\n")
    assert "$ /bin/cat\nvllm==1\n# exit 0" in (tmp_path / "log").read_text()


def test_progress_is_asked_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_runner, "TICK_S", 0.01)
    go = tmp_path / "go"
    ticks: list[None] = []

    def tick() -> None:
        ticks.append(None)
        go.touch()

    wait = f"until [ -e {go} ]; do sleep 0.01; done"
    runner(tmp_path).run(["/bin/sh", "-c", wait], tick=tick)
    assert ticks


def test_interrupt_ends_the_command_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_runner, "TICK_S", 0.01)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner(tmp_path).run(["/bin/sleep", "60"], tick=interrupt)


def test_growth_is_a_share_of_what_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1000, 900, 500, 1200, 0])
    usage = type("Usage", (), {})

    def disk_usage(_: Path) -> object:
        found = usage()
        found.free = next(free)
        return found

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    share = growth(tmp_path, 500)
    assert [share(), share(), share(), share()] == [0.2, 1.0, 0.0, 1.0]


def test_size_is_what_files_take_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 10_000)
    assert 8192 <= size_of(tmp_path) <= 16_384
    assert size_of(tmp_path / "nothing") == 0
