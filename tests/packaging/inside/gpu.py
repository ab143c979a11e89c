"""A scripted NVML library in the packaged daemon: its reader under the unit's hardening."""

import json
import os
from typing import Any

from .tools import ready, sh, until

FOLDER = "/opt/t/nvml"
SCRIPT = f"{FOLDER}/nvml.script"
DROP_IN = "/etc/systemd/system/vllmd-daemon.service.d/gpu.conf"
HELD = 70 * 1024**3


def hold_memory(pid: int) -> None:
    """Let a process hold memory of the first GPU."""
    with open(SCRIPT) as file:
        lines = dict(line.rstrip("\n").split(" = ", 1) for line in file if " = " in line)
    total, reserved = map(int, lines["gpu.0.memory"].split()[:2])
    lines["gpu.0.memory"] = f"{total} {reserved} {total - reserved - HELD} {HELD}"
    lines["gpu.0.processes"] = f"{pid}:{HELD}"
    with open(f"{SCRIPT}.new", "w") as file:
        file.writelines(f"{key} = {value}\n" for key, value in lines.items())
    os.rename(f"{SCRIPT}.new", SCRIPT)


def owners_are_told(row: dict[str, Any]) -> None:
    """Give the daemon a library, and look whose the memory is; then take it away again."""
    with open(DROP_IN, "w") as file:
        file.write(f"[Service]\nEnvironment=LD_LIBRARY_PATH={FOLDER} VLLMD_FAKE_NVML={SCRIPT}\n")
    try:
        sh("systemctl daemon-reload; systemctl restart vllmd-daemon")
        ready()
        hold_memory(int(sh("pgrep -f VLLM::EngineCore")))

        def owner() -> str | None:
            gpus = json.loads(sh("vllmd gpu --json"))["gpus"]
            found = [o for gpu in gpus for o in gpu["owners"] if o["bytes"] == HELD]
            return f"{found[0]['owner']} {found[0]['engine']}" if found else None

        row["held_by"] = until("an owner", owner)
        assert row["held_by"] == "engine chat"
        pids = sh("pgrep -d , -f 'vllmd/gpu/[_]_main__.py nvml'")
        row["readers"] = sh(f"ps -o user= -p {pids}").split()
        assert row["readers"] == ["vllmd", "vllmd"], "one of what is read often, one of the rest"
        assert "chat 70.0 GiB" in sh("vllmd gpu")
    finally:
        os.unlink(DROP_IN)
        sh("systemctl daemon-reload; systemctl restart vllmd-daemon")
    ready()
    assert json.loads(sh("vllmd gpu --json"))["source"] == "none"
