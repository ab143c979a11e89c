"""Two versions of the package, built once, and what the booted systems had to say."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.helpers.site import needs

ROOT = Path(__file__).parents[2]
TOLD = "told"
VERSIONS = ("0.1.0", "0.1.1")


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder with versions 0.1.0 and 0.1.1, which workers of one run share."""
    needs("dpkg-buildpackage")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "debs"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [v for v in VERSIONS if not list(folder.glob(f"vllmd_{v}_*.deb"))]
        with ThreadPoolExecutor() as builders:
            list(builders.map(lambda version: build(folder / version, version), missing))
        for version in missing:
            for made in (folder / version).iterdir():
                made.rename(folder / made.name)
        if not (folder / "apt").exists():
            _make_repository(folder)
    return folder


def build(folder: Path, version: str, env: Mapping[str, str] = MappingProxyType({})) -> None:
    """Build the package into a folder; `env` may name a UMASK too."""
    build_deb = str(ROOT / "packaging" / "build-deb.sh")
    command = [
        "sh",
        "-c",
        'umask "${UMASK:-022}"; exec "$@"',
        "sh",
        build_deb,
        str(folder),
        version,
    ]
    result = subprocess.run(
        command,
        env={**os.environ, "PYTHON": sys.executable, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def _make_repository(folder: Path) -> None:
    """Make an apt repository of them, signed by a key that is made for it."""
    needs("apt-ftparchive")
    # short: an agent's socket has to fit
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        env = {**os.environ, "GNUPGHOME": home}
        key = "vllmd tests <vllmd@vllmd.invalid>"
        make = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", key]
        subprocess.run(make, env=env, check=True, capture_output=True)
        command = [str(ROOT / "packaging/make-repository.sh"), str(folder / "apt"), key]
        debs = [str(deb) for deb in sorted(folder.glob("*.deb"))]
        result = subprocess.run(
            [*command, *debs], env=env, capture_output=True, text=True, check=False
        )
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
        assert result.returncode == 0, result.stderr


def lintian(changes: Path, request: pytest.FixtureRequest) -> None:
    """Assert that lintian has no error and no warning for what was built."""
    needs("lintian")
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]
    done = subprocess.run([*command, changes], capture_output=True, text=True, check=False)
    overrides = [
        *ROOT.glob("packaging/debian/*overrides"),
        *ROOT.glob("packaging/debian/*/*overrides"),
    ]
    tags = [line for path in overrides for line in path.read_text().splitlines() if line[0] != "#"]
    said = (done.stdout + done.stderr).strip()
    note(request, f"lintian: {said or 'no error, no warning'}; {len(tags)} tags overridden")
    assert done.returncode == 0, said


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
