"""Two versions of the package, built once, and what the booted systems had to say."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.site import needs

ROOT = Path(__file__).parents[2]


TOLD = "told"


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder with versions 0.1.0 and 0.1.1, which workers of one run share."""
    needs("dpkg-buildpackage")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "debs"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for version in ("0.1.0", "0.1.1"):
            if not list(folder.glob(f"vllmd_{version}_*.deb")):
                _build(folder, version)
    return folder


def _build(folder: Path, version: str) -> None:
    command = [str(ROOT / "packaging" / "build-deb.sh"), str(folder), version]
    result = subprocess.run(
        command,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def note(request: pytest.FixtureRequest, line: str) -> None:
    """Have a line printed at the end of the run, whichever process the test ran in."""
    request.node.user_properties.append((TOLD, line))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was noted, test by test."""
    terminalreporter.section("in the booted systems")
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for key, line in report.user_properties if report.when == "call" else ():
                if key == TOLD:
                    terminalreporter.line(line)
