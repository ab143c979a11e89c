"""A real vLLM (CPU build) in the image, brought by volumes: it serves, is killed, and drains."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.container.box import CHAT, Box, container
from tests.container.image import Image
from tests.helpers.real import program_and_model
from tests.helpers.site import wait_for
from vllmd.util.units import GIB

LOAD_S = 600
"""A limit for a test that hangs."""
TOKENS = 3000
"""Some seconds of work."""
USER = 2000
PROGRAM = """#!/bin/sh
export PYTHONPATH=$(echo /srv/engine/lib/python3.*/site-packages)
export LD_LIBRARY_PATH=/srv/python/lib:/srv/program/lib
exec /srv/python/bin/python3 /srv/engine/bin/vllm "$@"
"""
"""A virtual environment that is seen at another place, with the Python it was made from."""
REAL = {
    f"{CHAT}MODEL": "/srv/model",
    f"{CHAT}SERVED_MODEL_NAME": "tiny",
    f"{CHAT}EXECUTABLE": "/srv/program/vllm",
    f"{CHAT}MAX_MODEL_LEN": "4096",
    f"{CHAT}MAX_NUM_SEQS": "4",
    f"{CHAT}FLAGS__ENFORCE_EAGER": "true",
    f"{CHAT}ENV__HF_HUB_OFFLINE": "1",
    f"{CHAT}ENV__VLLM_NO_USAGE_STATS": "1",
    f"{CHAT}ENV__VLLM_CPU_KVCACHE_SPACE": "1",
    f"{CHAT}UNREADY_S": "0",
    f"{CHAT}DRAIN_S": "120",
    f"{CHAT}RESTART__INITIAL_S": "0.1",
}


def volumes(folder: Path) -> Mapping[str, Path]:
    """Return what the image without vLLM is given: an engine, its Python, a model."""
    program, model = program_and_model()
    made = folder / "program"
    (made / "lib").mkdir(parents=True)
    (made / "vllm").write_text(PROGRAM)
    (made / "vllm").chmod(0o755)
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    (numa,) = {line.split()[-1] for line in listed.splitlines() if "libnuma.so.1 " in line}
    shutil.copy(numa, made / "lib" / "libnuma.so.1")  # the image of vLLM has it
    python = program.with_name("python").resolve()
    found = {"program": made, "engine": program.parents[1], "python": python.parents[1]}
    shutil.copytree(model / "model", folder / "model")
    for path in (folder / "model").iterdir():
        path.chmod(0o644)
    return {**found, "model": folder / "model"}


def users(box: Box) -> set[int]:
    return {os.stat(f"/proc/{each.pid}").st_uid for each in box.processes().values()}


@pytest.mark.real_engine
def test_real_vllm_serves_is_started_again_and_drains(image: Image, folder: Path) -> None:
    given = volumes(folder)
    with container(image, folder, REAL, memory=8 * GIB, volumes=given, shm="1g") as box:
        before = box.wait_ready(limit_s=LOAD_S)
        assert box.ask() == "200 5"
        assert users(box) == {USER}
        written = box.run("sh", "-c", "touch /etc/x /usr/x /srv/engine/x || echo no", code=None)
        assert written == "no\n"
        assert box.get("/metrics", 8000)[1].count("vllm:num_requests_running{") == 1
        for word, sign in (("VLLM::EngineCore", "engine_core_died"), ("vllm serve", "SIGKILL")):
            os.kill(box.find(word).pid, signal.SIGKILL)
            after = box.wait_ready(other_than=before["run_id"], limit_s=LOAD_S)
            ended = after["last_exit"]
            assert sign in (ended["diagnosis"]["cause"], ended["label"]), ended
            assert box.ask() == "200 5"
            before = after
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(box.ask(TOKENS, LOAD_S)))
        asking.start()
        wait_for("it in flight", lambda: box.running() == 1)
        wait_for("no zombie", lambda: not box.zombies())
        box.signal(signal.SIGTERM)
        assert box.process.wait(LOAD_S) == 0
        asking.join()
        assert answers == [f"200 {TOKENS}"]
        assert "event=engine.end_proven" in box.said
