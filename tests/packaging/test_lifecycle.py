"""The package in a booted Debian: tests/packaging/inside has the cases."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.real import program_and_model
from tests.packaging import systems
from tests.packaging.conftest import note
from tests.packaging.systems import System

FACTS = {"case", "ok", "seconds", "systemd", "dpkg", "enable", "error", "journal"}
"""Not shown among what was measured."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="booting a system needs root")
CONTAINERS = Path("/sys/fs/cgroup/unified").exists()
in_namespaces = pytest.mark.skipif(not CONTAINERS, reason="boot.sh needs cgroup v1 (hybrid)")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for a system; it is large, and removed at once."""
    yield tmp_path
    for root in ("root", "left"):
        shutil.rmtree(tmp_path / root, ignore_errors=True)


def check(system: System, name: str, last: str, request: pytest.FixtureRequest) -> None:
    """Note the table; no case failed, none is missing, and the last request was answered."""
    result = system.work / "rows.json"
    assert result.exists(), system.console.read_text(errors="replace")[-3000:]
    rows: list[dict[str, Any]] = json.loads(result.read_text())
    note(request, f"{name}, systemd {rows[0].get('systemd')}:")
    for row in rows:
        facts = ", ".join(f"{key} {value}" for key, value in row.items() if key not in FACTS)
        word = "skip" if "not_run" in row else "ok  " if row["ok"] else "FAIL"
        note(request, f"  {word} {row['seconds']:5.1f} s  {row['case']}  {facts}")
    failures = [row for row in rows if not row["ok"]]
    assert not failures, "\n".join(f"{r['case']}\n{r['error']}\n{r['journal']}" for r in failures)
    assert rows[-1]["case"].startswith(last)
    down = json.loads((system.work / "down.json").read_text())
    drained = json.loads((system.work / "drain.json").read_text())
    assert drained["answer"].get("usage", {}).get("completion_tokens") == down["tokens"], drained
    assert drained["at"] > down["at"], "the request was not in flight when the system went down"


def stopped_in_order(log: Path) -> bool:
    """Tell whether the engine was stopped in an orderly way when the system went down."""
    return log.read_text().rstrip().splitlines()[-1].startswith("INFO:     Finished server process")


@pytest.mark.machine
def test_package_lives_on_a_kernel_with_cgroup_v2(
    folder: Path, debs: Path, request: pytest.FixtureRequest
) -> None:
    system = systems.make(folder, "trixie", debs, "machine", kernel=True, brief=CONTAINERS)
    left = systems.emulate(system)
    check(left, "trixie in an emulated machine, cgroup v2", "reboot", request)
    assert stopped_in_order(left.root / "var/log/vllmd/chat.log")


@in_namespaces
def test_a_real_vllm_lives_in_its_unit(
    folder: Path, debs: Path, request: pytest.FixtureRequest
) -> None:
    program, model = program_and_model()
    engine = program.parents[1]
    ask = [str(engine / "bin/python"), "-c", "import sys; print(sys.base_prefix)"]
    python = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    binds = {engine: "engine", Path(python): "python"}
    system = systems.make(folder, "bookworm", debs, "real")
    systems.place(model, system, "model")
    systems.boot(system, {source: f"/opt/vllmd/{name}" for source, name in binds.items()})
    check(system, "bookworm with a real vLLM", "real vLLM: systemctl stop", request)


@in_namespaces
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_package_lives_in_a_booted_system(
    folder: Path, debs: Path, suite: str, request: pytest.FixtureRequest
) -> None:
    system = systems.make(folder, suite, debs, "lifecycle")
    systems.boot(system)
    if suite == "bookworm":
        for log in sorted(system.work.glob("first-run-*.log")):
            note(request, f"{log.name}:\n{log.read_text()}")
    check(system, suite, "it serves, with time to drain", request)
    assert stopped_in_order(system.root / "var/log/vllmd/chat.log")
