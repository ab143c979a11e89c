import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from tests.helpers.make import engine
from tests.helpers.site import free_port
from vllmd.config import command
from vllmd.engine.restart.dependencies import FREE_BYTES, Dependencies

Disk = namedtuple("Disk", "total used free")


def made(text: str = "") -> Dependencies:
    config = engine(text)
    return Dependencies(config, command.build(config), folders=(Path("/nonexistent/state"),))


def test_fine_cause_that_depends_on_nothing_is_not_known() -> None:
    assert made().fine("lora_rank") is None
    assert made().fine("gpu_fault") is None


def test_fine_space(monkeypatch: pytest.MonkeyPatch) -> None:
    free = FREE_BYTES
    asked: list[Path] = []

    def usage(path: Path) -> Disk:
        asked.append(path)
        return Disk(0, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert made().fine("disk_full") is True
    assert Path("/") in asked  # the nearest folder above that exists
    free -= 1
    assert made().fine("disk_full") is False


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


def test_surroundings_change_with_the_program(tmp_path: Path) -> None:
    for version in ("a", "b"):
        (tmp_path / version).write_text("#!/bin/sh\n")
        (tmp_path / version).chmod(0o755)
    link = tmp_path / "vllm"
    link.symlink_to(tmp_path / "a")
    questions = made(f'executable = "{link}"')
    before = questions.surroundings()
    assert questions.surroundings() == before
    link.unlink()
    assert questions.surroundings()["program"].endswith("is not there")
    link.symlink_to(tmp_path / "b")
    after = questions.surroundings()
    assert after["program"] != before["program"]
    assert after["boot"] == before["boot"]
