"""The package in a booted Debian: tests/packaging/inside.py has the cases."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.conftest import rootfs

HERE = Path(__file__).parent
UNIT = """[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/usr/bin/python3 /opt/t/inside.py
[Install]
WantedBy=multi-user.target
"""
LIMIT_S = 600
FACTS = ("requests", "scrapes", "failed", "cut", "left", "stop_s")


def boot(folder: Path, name: str) -> None:
    """Boot and wait for the end; its control groups are removed."""
    with (folder.parent / "console.log").open("wb") as console:
        command = ["setpriv", "--pdeathsig", "KILL", str(HERE / "boot.sh"), str(folder), name]
        process = subprocess.Popen(command, stdout=console, stderr=console, start_new_session=True)
        try:
            process.wait(LIMIT_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for controller in Path("/sys/fs/cgroup").iterdir():
                tree = sorted((controller / name).glob("**/"), reverse=True)
                for group in tree:
                    if group.is_dir():
                        subprocess.run(["rmdir", str(group)], check=False, capture_output=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="booting a system needs root")
@pytest.mark.skipif(
    not Path("/sys/fs/cgroup/unified").exists(), reason="boot.sh needs cgroup v1 (hybrid)"
)
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_package_lives_in_a_booted_system(
    tmp_path: Path, debs: Path, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    try:
        archive = str(rootfs(suite))
        subprocess.run(["tar", "-x", "-f", archive, "-C", str(root)], check=True)
        work = root / "opt" / "t"
        work.mkdir(parents=True)
        for path in (*debs.glob("*.deb"), HERE / "inside.py"):
            shutil.copy(path, work)
        (root / "etc/systemd/system/inside.service").write_text(UNIT)
        wants = root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / "inside.service").symlink_to("/etc/systemd/system/inside.service")
        boot(root, f"vllmd-test-{suite}-{os.getpid()}")
        result = work / "rows.json"
        assert result.exists(), (tmp_path / "console.log").read_text(errors="replace")[-3000:]
        rows = json.loads(result.read_text())
        log = (root / "var/log/vllmd/chat.log").read_text()
        answer = work / "drain.json"
        drained = json.loads(answer.read_text()) if answer.exists() else {}
    finally:
        shutil.rmtree(root, ignore_errors=True)
    with capsys.disabled():
        print(f"\n{suite}, systemd {rows[0].get('systemd')}:")
        for row in rows:
            facts = ", ".join(f"{key} {row[key]}" for key in FACTS if key in row)
            word = "ok  " if row["ok"] else "FAIL"
            print(f"  {word} {row['seconds']:5.1f} s  {row['case']}  {facts}")
    failures = [row for row in rows if not row["ok"]]
    assert not failures, "\n".join(f"{r['case']}\n{r['error']}\n{r['journal']}" for r in failures)
    assert rows[-1]["case"] == "purge, reinstall"
    assert log.rstrip().splitlines()[-1].startswith("INFO:     Finished server process"), (
        "the engine was not stopped in an orderly way when the system went down"
    )
    assert drained.get("usage", {}).get("completion_tokens") == 120, drained
