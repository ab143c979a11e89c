"""Units of systemd in a booted Debian 12: this tree and its Python are seen there, read-only."""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.helpers.rootfs import unpack
from tests.packaging import systems
from tests.packaging.systems import System

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
INSIDE = "/opt/t"
UNIT = """[Unit]
After=multi-user.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
WorkingDirectory={root}
Environment=PYTHONDONTWRITEBYTECODE=1
ExecStart={python} -m tests.chaos.booted {names}
StandardOutput=file:{inside}/out
StandardError=inherit
OOMScoreAdjust=-900
"""


def rows(names: Sequence[str]) -> list[dict[str, Any]]:
    """Boot, do all faults under each of these, and return the rows. Needs root and cgroup v1."""
    words = " ".join(f'"{name}"' for name in names)
    unit = UNIT.format(root=ROOT, python=sys.executable, names=words, inside=INSIDE)
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True) as at:
        system = System(Path(at) / "root", Path(at) / "console.log")
        system.root.mkdir()
        unpack(systems.debian(SUITE, kernel=False, more=("logrotate",)), system.root)
        system.work.mkdir(parents=True)
        systems.starts_last(system.root, unit)
        base = Path(sys.base_prefix)
        seen = {ROOT, Path(sys.prefix), *([] if base == Path("/usr") else [base])}
        try:
            systems.boot(system, {folder: str(folder) for folder in sorted(seen)})
            found = system.work / "rows.json"
            if not found.exists():
                told = [path for path in (system.work / "out", system.console) if path.exists()]
                raise SystemExit("".join(path.read_text(errors="replace") for path in told)[-3000:])
            made: list[dict[str, Any]] = json.loads(found.read_text())
        finally:
            shutil.rmtree(system.root, ignore_errors=True)
    return made


def main() -> None:
    """Do it, in the booted system."""
    from tests.chaos import beside
    from tests.chaos.supervisors import SUPERVISORS

    made = [row for name in sys.argv[1:] for row in beside.rows(SUPERVISORS[name])]
    beside.write(made, Path(INSIDE) / "rows.json")


if __name__ == "__main__":
    main()
