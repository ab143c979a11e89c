"""`make run` as a person uses it, and Ctrl-C."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx

from tests.helpers.site import gone, wait_for
from vllmd.shim import proc

ROOT = Path(__file__).parents[2]


def metrics() -> str:
    try:
        return httpx.get("http://127.0.0.1:9840/metrics", trust_env=False).text
    except httpx.TransportError:
        return ""


def test_make_run_answers_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        run = subprocess.Popen(
            ["make", "run"], cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for("an engine that serves", lambda: "vllmd_engine_up{" in metrics(), 180)
        wait_for("ready", lambda: 'vllmd_engine_up{vllmd_engine="demo"} 1.0' in metrics(), 60)
        wait_for("the demo GPU", lambda: "vllmd_gpu_demo 1.0" in metrics())
        owned = 'owner="engine",uuid="DEMO-0000-0000-0000-000000000000",vllmd_engine="demo"'
        wait_for("its owner", lambda: owned in metrics())
        assert 'name="Demo GPU (no hardware)"' in metrics()
        assert "vllmd_nvml_up" not in metrics()
        body = {"model": "sql", "messages": [{"role": "user", "content": "hi"}]}
        url = "http://127.0.0.1:8000/v1/chat/completions"
        assert httpx.post(url, json=body, trust_env=False).json()["model"] == "sql"
        started = [proc.read_stat(run.pid), *proc.descendants(run.pid)]
        record = json.loads((ROOT / ".run/run/engines/demo/run.json").read_text())
        shim = proc.read_stat(record["shim_pid"])
        assert shim is not None
        started += [shim, *proc.descendants(shim.pid)]
        assert len(started) > 4
    finally:
        os.killpg(run.pid, signal.SIGINT)
        run.wait(60)
    text = output.read_text()
    assert "metrics    http://127.0.0.1:9840/metrics" in text
    assert "/v1  (models: tiny, sql, and what is in " in text
    time.sleep(0.2)
    assert gone(*(stat for stat in started if stat is not None))
    assert not (ROOT / ".run" / "run" / "control.sock").exists()
