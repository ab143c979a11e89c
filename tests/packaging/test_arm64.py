"""The package for arm64: what it is here, and that it runs in an emulated Debian (`make arm64`)."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.site import needs
from tests.packaging import systems
from tests.packaging.conftest import build, lintian, note
from tests.packaging.test_lifecycle import check, in_namespaces

DEB = "vllmd_0.1.0_arm64.deb"
ARM64 = 183
"""The machine of an ELF file. Source: e_machine in elf(5), EM_AARCH64."""

pytestmark = [
    pytest.mark.arm64,
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a system needs root"),
]


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the package for arm64."""
    needs("dpkg-buildpackage")
    folder = tmp_path_factory.mktemp("arm64")
    build(folder, "0.1.0", {"ARCH": "arm64"})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for a system; it is large, and removed at once."""
    yield tmp_path
    shutil.rmtree(tmp_path / "root", ignore_errors=True)


def test_two_builds_are_the_same_bytes(
    deb: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    build(tmp_path, "0.1.0", {"ARCH": "arm64", "TZ": "Pacific/Kiritimati", "UMASK": "077"})
    for name in (DEB, "vllmd_0.1.0.tar.xz"):
        digests = {
            hashlib.sha256((each / name).read_bytes()).hexdigest() for each in (deb, tmp_path)
        }
        assert len(digests) == 1, name
        note(request, f"{name}: sha256 {digests.pop()} both times")


def test_every_module_is_for_arm64(deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", deb / DEB, tmp_path], check=True)
    modules = list((tmp_path / "usr/lib/vllmd/site").rglob("*.so"))
    assert {path.parts[-2] for path in modules} == {"bcrypt", "_upb", "psutil"}
    for path in modules:
        assert int.from_bytes(path.read_bytes()[18:20], "little") == ARM64, path
        assert path.name.endswith(".abi3.so")


def test_lintian_has_no_complaint(deb: Path, request: pytest.FixtureRequest) -> None:
    lintian(deb / "vllmd_0.1.0_arm64.changes", request)


@in_namespaces
def test_package_serves_in_an_emulated_debian(
    folder: Path, deb: Path, request: pytest.FixtureRequest
) -> None:
    needs("qemu-aarch64-static")
    system = systems.make_arm64(folder, "bookworm", deb)
    systems.boot(system)
    check(system, "bookworm for arm64, emulated", "it serves", request)
