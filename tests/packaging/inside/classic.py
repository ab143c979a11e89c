"""What a blog post's unit does in the same faults: the rows of docs/migrate.md."""

import contextlib
import http.client
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .tools import API, CONFIG_PATH, engine, get, ready, sh, show, until

UNIT = """[Unit]
Description=vLLM
After=network-online.target
[Service]
User=vllmd
Environment=VLLMD_STAND_IN_LOAD_S=0.5 VLLMD_STAND_IN_DEATH_S=0.3
ExecStart=/opt/classic/start.sh
Restart=on-failure
RestartSec=1
StandardOutput=append:/var/log/vllm.log
StandardError=inherit
[Install]
WantedBy=multi-user.target
"""
SCRIPT = """#!/bin/bash
MODEL=org/model
export PYTHONPATH=/usr/lib/vllmd/site
exec /opt/classic/vllm serve $MODEL --served-model-name tiny --port 8000
"""
PROGRAM = '#!/bin/sh\nexec python3 -B -m vllmd.demo "$@"\n'
STANZA = "/var/log/vllm.log {\n  daily\n  rotate 14\n  compress\n  copytruncate\n}\n"
PATIENCE_S = 30
"""How long one waits for it to come back by itself."""

Row = dict[str, Any]


def compare(row: Row, config: str) -> None:
    """Let the same faults happen to both; `config` is what vllmd is to run with."""
    sh("systemctl stop vllmd")
    row["classic"] = _classic()
    imported = sh("vllmd import /etc/systemd/system/vllm.service /etc/logrotate.d/vllm")
    assert 'executable = "/opt/classic/vllm"' in imported, imported
    assert "keep = 14" in imported
    assert "Restart=: vllmd restarts an engine whatever its exit code" in imported
    sh("systemctl disable --now vllm; rm /etc/systemd/system/vllm.service; systemctl daemon-reload")
    with open(CONFIG_PATH, "w") as file:
        file.write(config)
    sh("systemctl start vllmd")
    ready()
    row["vllmd"] = _vllmd()
    row["import"] = " | ".join(line for line in imported.splitlines() if "=" in line)[:400]
    _judge(row["classic"], row["vllmd"])


def _judge(classic: Row, vllmd: Row) -> None:
    assert classic["core killed"]["served again"] is None, "exit 0 is no failure for systemd"
    assert vllmd["core killed"]["served again"] is not None
    assert classic["hang"]["served again"] is None
    assert classic["hang"]["/health"] == 200
    assert classic["hang"]["unit"] == "active"
    assert vllmd["hang"]["served again"] is not None
    assert classic["orphan, KillMode=process"]["cores"] > 1, "the next start finds its memory taken"
    assert vllmd["main process killed"]["cores"] == 1
    assert classic["wrong flag"]["starts"] > 2
    assert vllmd["wrong flag"]["starts"] == 1


def _classic() -> Row:
    os.makedirs("/opt/classic", exist_ok=True)
    for path, text in (("start.sh", SCRIPT), ("vllm", PROGRAM)):
        Path("/opt/classic", path).write_text(text)
        os.chmod(f"/opt/classic/{path}", 0o755)
    _place(UNIT)
    Path("/etc/logrotate.d").mkdir(exist_ok=True)
    Path("/etc/logrotate.d/vllm").write_text(STANZA)
    rows: Row = {}
    _start_classic()
    rows["core killed"] = _fault(_kill_core, patience_s=10)  # systemd has nothing more to do
    exited = show("vllm", "ExecMainStatus")
    rows["core killed"] |= {"exit": exited, "unit": show("vllm", "ActiveState")}
    _start_classic()
    rows["main process killed"] = _fault(_kill_main)
    rows["main process killed"]["cores"] = _cores()
    _start_classic()
    rows["hang"] = _fault(_freeze_core)
    rows["hang"]["/health"] = _health()
    rows["hang"]["unit"] = show("vllm", "ActiveState")
    sh("pkill -CONT -f VLLM::EngineCore; systemctl stop vllm")
    _place(UNIT.replace("[Install]", "KillMode=process\n[Install]"))
    _start_classic()
    rows["orphan, KillMode=process"] = _fault(_kill_main)
    rows["orphan, KillMode=process"]["cores"] = _cores()
    sh("systemctl stop vllm; pkill -9 -f VLLM::EngineCore")
    _place(UNIT)
    start = Path("/opt/classic/start.sh")
    start.write_text(SCRIPT.replace("--port", "--prot 1 --port"))
    sh("systemctl reset-failed vllm; systemctl start vllm")
    time.sleep(8)
    until("its third start", lambda: int(show("vllm", "NRestarts")) > 1)  # the host may be busy
    rows["wrong flag"] = {
        "starts": int(show("vllm", "NRestarts")) + 1,
        "says": f"{show('vllm', 'Result')}, {show('vllm', 'ExecMainStatus')}",
    }
    start.write_text(SCRIPT)
    sh("systemctl stop vllm; systemctl reset-failed vllm")
    return rows


def _vllmd() -> Row:
    rows: Row = {"core killed": _fault(_kill_core)}
    rows["core killed"]["cause"] = _cause()
    rows["main process killed"] = _fault(_kill_main)
    rows["main process killed"]["cores"] = _cores()
    rows["hang"] = _fault(_freeze_core)
    rows["hang"]["cause"] = _cause()
    with open(CONFIG_PATH) as file:
        text = file.read()
    with open(CONFIG_PATH, "w") as file:
        file.write(f"{text}\n[engines.chat.flags]\nprot = 1\n")
    sh("vllmd reload --apply")
    until("a hold", lambda: engine()["state"] == "held")
    time.sleep(8)
    now = engine()
    starts = sh("journalctl -q VLLMD_EVENT=engine.exited VLLMD_CAUSE=unknown_flag -o cat | wc -l")
    reason = now["hold"]["reason"]
    rows["wrong flag"] = {"starts": int(starts), "says": reason, "state": now["state"]}
    with open(CONFIG_PATH, "w") as file:
        file.write(text)
    sh("vllmd reload --apply; vllmd start chat --wait --timeout 30")
    ready()
    return rows


def _place(unit: str) -> None:
    Path("/etc/systemd/system/vllm.service").write_text(unit)
    sh("systemctl daemon-reload")


def _start_classic() -> None:
    sh("systemctl reset-failed vllm; systemctl start vllm")
    until("the classic unit", _answers)


def _fault(do: Callable[[], None], patience_s: float = PATIENCE_S) -> Row:
    """Let something happen with a request in flight, and wait for an answer to a new one."""
    before = _pid()
    with _asking():
        do()
        began = time.monotonic()
        end = began + patience_s
        while time.monotonic() < end:
            if _pid() != before and _answers():
                return {"served again": round(time.monotonic() - began, 1)}
            time.sleep(0.2)
    return {"served again": None}


def _pid() -> str:
    return sh("pgrep -n -f VLLM::EngineCore")


def _answers() -> bool:
    try:
        return "tiny" in get(f"{API}/v1/chat/completions", _body(1), timeout_s=2)
    except (OSError, http.client.HTTPException):
        return False


def _body(tokens: int) -> Row:
    messages = [{"role": "user", "content": "hi"}]
    return {"model": "tiny", "max_tokens": tokens, "ignore_eos": True, "messages": messages}


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """Have a long request in flight: a hang is one of who waits for something."""

    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            get(f"{API}/v1/chat/completions", _body(400))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    time.sleep(0.5)
    yield


def _kill_core() -> None:
    sh("pkill -KILL -o -f VLLM::EngineCore")


def _freeze_core() -> None:
    sh("pkill -STOP -o -f VLLM::EngineCore")


def _kill_main() -> None:
    parent = sh("ps -o ppid= -p $(pgrep -o -f VLLM::EngineCore)")
    os.kill(int(parent), signal.SIGKILL)


def _cores() -> int:
    return int(sh("pgrep -fc VLLM::EngineCore"))


def _health() -> int:
    with urllib.request.urlopen(f"{API}/health", timeout=5) as response:
        return int(response.status)


def _cause() -> str:
    return str(((engine()["last_exit"] or {}).get("diagnosis") or {}).get("cause"))
