from pathlib import Path

import pytest

from vllmd.installing import nvidia_driver

LINE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Thu Aug  7 2025\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n"


@pytest.mark.parametrize(("text", "version"), [(LINE, "580.159.04"), (OPEN, "570.86.15")])
def test_driver_is_read_from_the_kernel(tmp_path: Path, text: str, version: str) -> None:
    file = tmp_path / "version"
    file.write_text(text)
    assert nvidia_driver.driver_version(file, "no-such-smi") == version


def test_driver_is_asked_of_nvidia_smi_elsewhere(tmp_path: Path) -> None:
    smi = tmp_path / "smi"
    smi.write_text("#!/bin/sh\necho 535.1.2\necho 535.1.2\n")
    smi.chmod(0o755)
    assert nvidia_driver.driver_version(tmp_path / "none", str(smi)) == "535.1.2"
    smi.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    assert nvidia_driver.driver_version(tmp_path / "none", str(smi)) is None
    assert nvidia_driver.driver_version(tmp_path / "none", "no-such-smi") is None


@pytest.mark.parametrize(
    ("driver", "cuda", "needed"),
    [
        ("580.159.04", "13.0", None),
        ("570.86.15", "13.0", "580.65"),
        ("570.86.15", "12.9", None),
        ("525.60.13", "12.8", None),
        ("525.50.1", "12.8", "525.60"),
        ("470.1", "11.8", None),
        ("470.1", "14.0", None),
    ],
)
def test_driver_too_old_names_the_one_that_is_needed(
    driver: str, cuda: str, needed: str | None
) -> None:
    assert nvidia_driver.too_old(driver, cuda) == needed


def test_has_gpu_looks_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_driver.shutil, "which", lambda _: None)  # type: ignore[attr-defined]
    assert nvidia_driver.has_gpu() is Path("/dev/nvidiactl").exists()
