"""Packages and root file systems; the latter are cached outside the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.site import needs
from vllmd.demo.real import cache_dir

ROOT = Path(__file__).parents[2]
INCLUDE = "systemd-sysv,dbus,udev,python3,procps,init-system-helpers,adduser"


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of the package."""
    needs("dpkg-buildpackage")
    folder = tmp_path_factory.mktemp("debs")
    for version in ("0.1.0", "0.1.1"):
        command = [str(ROOT / "packaging" / "build-deb.sh"), str(folder), version]
        result = subprocess.run(
            command,
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    return folder


def rootfs(suite: str) -> Path:
    """Return a root file system as an archive."""
    needs("mmdebstrap")
    archive = cache_dir() / "rootfs" / f"{suite}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_name(f"{suite}.partial.tar")
        options = ["--variant=minbase", f"--include={INCLUDE}", suite, str(partial)]
        subprocess.run(["mmdebstrap", *options], check=True, capture_output=True)
        partial.rename(archive)
    return archive
