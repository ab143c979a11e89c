from pathlib import Path

import pytest

from vllmd.gpu import hardware


def device(folder: Path, name: str, vendor: str, kind: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "vendor").write_text(f"{vendor}\n")
    (folder / name / "class").write_text(f"{kind}\n")


@pytest.fixture(autouse=True)
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)


@pytest.mark.parametrize(
    ("vendor", "kind", "expected"),
    [("0x10de", "0x030200", True), ("0x10de", "0x040300", False), ("0x8086", "0x030000", False)],
)
def test_gpu_is_seen_on_the_bus(tmp_path: Path, vendor: str, kind: str, expected: bool) -> None:
    device(tmp_path, "0000:00:06.0", vendor, kind)
    assert hardware.has_nvidia_gpu(tmp_path) is expected


def test_library_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where GPUs are on no PCI bus."""
    assert not hardware.has_nvidia_gpu(tmp_path / "none")
    (tmp_path / hardware.LIBRARY_NAME).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path}")
    assert hardware.has_nvidia_gpu(tmp_path / "none")


def test_library_version_is_that_of_the_next_process(tmp_path: Path) -> None:
    """An upgrade puts another file beside the one that is loaded, and moves the link."""
    old, new = (tmp_path / f"libnvidia-ml.so.580.{n}" for n in ("10.1", "20.2"))
    old.touch()
    link = tmp_path / hardware.LIBRARY_NAME
    link.symlink_to(old.name)
    assert hardware.library_version(str(old)) == "580.10.1"
    old.unlink()
    new.touch()
    link.unlink()
    link.symlink_to(new.name)
    assert hardware.library_version(str(old)) == "580.20.2"


def test_library_without_a_version_in_its_name_tells_none(tmp_path: Path) -> None:
    (tmp_path / hardware.LIBRARY_NAME).touch()
    assert hardware.library_version(str(tmp_path / hardware.LIBRARY_NAME)) is None


def test_kernel_driver_version(tmp_path: Path) -> None:
    assert hardware.kernel_driver_version(tmp_path / "missing") is None
    (tmp_path / "version").write_text("580.159.04\n")
    assert hardware.kernel_driver_version(tmp_path / "version") == "580.159.04"
