"""The unit tests with the Python of another Debian, in a root file system of its own (needs root).

``python tools/other_python.py trixie 3.13 [ARGUMENTS OF PYTEST …]``; `make python-3.13` does. The
file system and what pip would install are kept outside the checkout.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.rootfs import archive, unpack
from tools.tree import copy_tree

ROOT = Path(__file__).parents[1]
ENTER = ROOT / "tools" / "other_python.sh"
INCLUDE = "python3,python3-venv,build-essential,procps,iproute2,openssl,zsh,fish"
INSIDE = Path("opt/vllmd")
LOCKS = ("runtime.txt", "dev.txt")
TESTS = (
    "-q",
    "-n",
    "2",
    "--dist",
    "worksteal",
    "-p",
    "no:cacheprovider",
    "-m",
    "not long",
    "--basetemp=/tmp/t",
)
NOT_OF_IT = "tests/unit/test_copyright.py::test_the_file_is_what_the_tool_writes"
"""The file is made of the packages that the lock has for the Python of a release, Debian 12's."""


def install(root: Path, version: str) -> None:
    """Make its environment for development: the locked packages, by this host's uv."""
    venv = root / INSIDE / ".venv"
    enter(root, "python3", "-m", "venv", ".venv")
    site = venv / "lib" / f"python{version}" / "site-packages"
    for lock in LOCKS:
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
        command += ["--target", str(site), "--python-version", version, "--only-binary", ":all:"]
        command += ["--require-hashes", "--link-mode", "copy"]
        subprocess.run([*command, "-r", str(ROOT / "requirements" / lock)], check=True)
    for program in (site / "bin").iterdir():
        text = program.read_bytes()
        if text.startswith(b"#!") and b"python" in text.partition(b"\n")[0]:
            first = f"#!/{INSIDE}/.venv/bin/python\n".encode()
            program.write_bytes(first + text.partition(b"\n")[2])
        if not (venv / "bin" / program.name).exists():
            shutil.move(program, venv / "bin")
    enter(root, *PIP, "--no-deps", "--no-build-isolation", "--no-index", "--editable", ".")


PIP = (".venv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")


def enter(root: Path, *command: str) -> None:
    """Run a command there. Raises: CalledProcessError: it failed."""
    subprocess.run([str(ENTER), str(root), *command], check=True)


def main() -> int:
    """Make it, run the tests in it, and remove it."""
    suite, version, *more = sys.argv[1:]
    if os.geteuid() != 0:
        print("not run: this makes a root file system, and needs root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="other-python-", dir="/var/tmp") as folder:
        root = Path(folder)
        root.chmod(0o755)
        unpack(archive(f"tests-{suite}", INCLUDE, suite, f"--include={INCLUDE}"), root)
        copy_tree(root / INSIDE)
        install(root, version)
        enter(root, ".venv/bin/python", "--version")
        tests = [".venv/bin/python", "-m", "pytest", *TESTS, "--deselect", NOT_OF_IT]
        tests += more or ["tests/unit"]
        return subprocess.run([str(ENTER), str(root), *tests], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
