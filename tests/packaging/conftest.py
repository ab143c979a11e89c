"""Two versions of the package, built once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.site import needs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with versions 0.1.0 and 0.1.1."""
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
