import errno
import os
import socket
from pathlib import Path

import attrs
import pytest

from tests.helpers.make import engine
from tests.helpers.ports import free_port
from vllmd.config import command
from vllmd.engine import disk_space
from vllmd.engine.disk_space import FreeSpace
from vllmd.engine.restart import dependencies
from vllmd.engine.restart.dependencies import Dependencies
from vllmd.util.units import GIB, MIB


def made(text: str = "") -> Dependencies:
    config = engine(text)
    folders = {Path("/nonexistent/state"): MIB}
    return Dependencies(config, command.build(config), folders=folders)


def test_fine_cause_that_depends_on_nothing_is_not_known() -> None:
    assert made().fine("lora_rank") is None
    assert made().fine("gpu_fault") is None


def test_fine_space(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = {Path("/nonexistent/state"): FreeSpace("", MIB, 100 * MIB, 500, 1000)}
    plenty = FreeSpace("", GIB, 100 * GIB, 500, 1000)
    monkeypatch.setattr(disk_space, "look", lambda folder: rooms.get(folder, plenty))
    assert made().fine("disk_full") is True
    rooms[Path("/nonexistent/state")] = FreeSpace("", MIB - 1, 100 * MIB, 500, 1000)
    assert made().fine("disk_full") is False
    rooms[Path("/nonexistent/state")] = FreeSpace("", MIB, 100 * MIB, 15, 1000)
    assert made().fine("disk_full") is False, "no files (inodes) are left"


def test_fine_space_asks_for_a_download_only_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    little = FreeSpace("", disk_space.CACHE_BYTES, 100 * GIB, 500, 1000)
    monkeypatch.setattr(disk_space, "look", lambda _: little)
    assert made().fine("disk_full") is False
    config = attrs.evolve(engine(), model=str(tmp_path))
    assert Dependencies(config, command.build(config)).fine("disk_full") is True


def test_fine_program(tmp_path: Path) -> None:
    program = tmp_path / "vllm"
    text = f'executable = "{program}"'
    assert made(text).fine("program_missing") is False
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert made(text).fine("program_missing") is True


def test_fine_folder_of_a_model(tmp_path: Path) -> None:
    config = engine()
    hub = Dependencies(config, command.build(config))
    assert hub.fine("model_not_found") is None

    class Local:
        model = str(tmp_path / "model")

    local = Dependencies(Local(), command.build(config))  # type: ignore[arg-type]
    assert local.fine("model_not_found") is False
    (tmp_path / "model").mkdir()
    assert local.fine("model_not_found") is True


def test_fine_port() -> None:
    port = free_port()
    assert made(f"port = {port}").fine("port_in_use") is True
    with socket.create_server(("127.0.0.1", port)):
        assert made(f"port = {port}").fine("port_in_use") is False


def test_fine_gpu_is_asked_of_its_reader() -> None:
    config = engine()
    gpu = Dependencies(config, command.build(config), gpu=lambda: False, memory=lambda: True)
    assert gpu.fine("gpu_fault") is False
    assert gpu.fine("driver_mismatch") is False
    assert gpu.fine("vram_held") is True


def test_fingerprint_change_with_the_program(tmp_path: Path) -> None:
    for version in ("a", "b"):
        (tmp_path / version).write_text("#!/bin/sh\n")
        (tmp_path / version).chmod(0o755)
    link = tmp_path / "vllm"
    link.symlink_to(tmp_path / "a")
    questions = made(f'executable = "{link}"')
    before = questions.fingerprint()
    assert questions.fingerprint() == before
    link.unlink()
    assert questions.fingerprint()["program"].endswith("is not there")
    link.symlink_to(tmp_path / "b")
    after = questions.fingerprint()
    assert after["program"] != before["program"]
    assert after["boot"] == before["boot"]


@pytest.mark.parametrize(("what", "number"), [("stat", errno.ESTALE), ("read_text", errno.EMFILE)])
def test_fingerprint_that_cannot_be_read_now_is_no_change(
    monkeypatch: pytest.MonkeyPatch, what: str, number: int
) -> None:
    """A hold would be released, and the engine be started into the same wall."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    questions = made()
    monkeypatch.setattr(os if what == "stat" else Path, what, fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        questions.fingerprint()


def test_fingerprint_change_with_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tmp_path / "version"
    monkeypatch.setattr(dependencies, "DRIVER_VERSION", str(version))
    questions = made()
    assert questions.fingerprint()["driver"] == ""
    version.write_text("580.95.05\n")
    assert questions.fingerprint()["driver"] == "580.95.05"
