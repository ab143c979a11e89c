"""A pull that is killed goes on where it was."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.helpers.hub import FakeHub, serving
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, VLLMD, site, wait_for
from vllmd.cli.status_view import loading

WEIGHTS = bytes(range(256)) * 4000


def test_pull_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    hold = threading.Event()
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    with serving(FakeHub(files, break_after=300_000, hold=hold)) as hub:
        env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}
        command = [str(VLLMD), "pull", "org/m", "--config", str(tmp_path / "none.toml")]
        first = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        blob = tmp_path / "hub/models--org--m/blobs" / hub.blob("model.safetensors")
        part = blob.with_name(f"{blob.name}.incomplete")
        here = wait_for(
            "a part of the file",
            lambda: part.stat().st_size if part.exists() and part.stat().st_size else 0,
        )
        first.send_signal(signal.SIGKILL)
        first.wait()
        hold.set()
        here = part.stat().st_size
        again = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert ("model.safetensors", f"bytes={here}-") in hub.asked
        assert blob.read_bytes() == WEIGHTS
        assert "verified" in again.stdout
        assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


def test_pull_that_is_interrupted_ends_at_once_and_says_that_it_goes_on(tmp_path: Path) -> None:
    hold = threading.Event()
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    with serving(FakeHub(files, break_after=300_000, hold=hold)) as hub:
        blob = tmp_path / "hub/models--org--m/blobs" / hub.blob("model.safetensors")
        part = blob.with_name(f"{blob.name}.incomplete")
        pull = _pull(tmp_path, hub.url)
        try:
            wait_for("a part of the file", lambda: part.exists() and part.stat().st_size)
            assert _interrupted(pull) == _SAID
        finally:
            hold.set()
    assert part.exists()


def test_pull_that_is_interrupted_while_it_connects_ends_at_once(tmp_path: Path) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # from the second on nobody is let in
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        pull = _pull(tmp_path, f"http://127.0.0.1:{full.getsockname()[1]}")
        connecting = f":{full.getsockname()[1]:04X} 02"
        wait_for("it connects", lambda: _sockets(pull.pid, connecting))
        assert _interrupted(pull) == _SAID


_SAID = "vllmd: org/m was interrupted; what came is kept, pull again to go on"


def _pull(folder: Path, hub: str) -> subprocess.Popen[str]:
    env = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    command = [str(VLLMD), "pull", "org/m", "--config", str(folder / "none.toml")]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def _sockets(pid: int, what: str) -> bool:
    """Tell whether a process has a socket to such an address, in such a state."""
    held = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            held.add(os.readlink(each))
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(what in line and f"socket:[{line.split()[9]}]" in held for line in lines)


def _interrupted(pull: subprocess.Popen[str]) -> str:
    """Interrupt it; return its last line."""
    began = time.monotonic()
    pull.send_signal(signal.SIGINT)
    _, said = pull.communicate(timeout=60)
    assert pull.returncode == 130, said
    assert time.monotonic() - began < 10
    return said.splitlines()[-1]


LOADS_FOR_EVER = '#!/bin/sh\n[ "$1" = serve ] || exit 0\nexec sleep 600\n'
CONFIG = """
[engines.chat]
model = "org/m"
executable = "{program}"
port = {api}
env = {{ HF_HOME = "{folder}/hf", HF_ENDPOINT = "{hub}", NO_PROXY = "127.0.0.1" }}
"""


def test_share_that_is_downloaded_is_in_the_status_of_an_engine_that_loads(tmp_path: Path) -> None:
    program = tmp_path / "vllm"
    program.write_text(LOADS_FOR_EVER)
    program.chmod(0o755)
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    with serving(FakeHub(files)) as hub:
        folder = tmp_path / "hf/hub/models--org--m/blobs"
        folder.mkdir(parents=True)
        part = folder / f"{hub.blob('model.safetensors')}.incomplete"
        part.write_bytes(WEIGHTS[: len(WEIGHTS) // 2])
        exporter, api = free_port(), free_port()
        text = DAEMON.format(exporter=exporter, folder=tmp_path) + CONFIG.format(
            program=program, api=api, folder=tmp_path, hub=hub.url
        )
        total = len(WEIGHTS) + 2
        with site(tmp_path, text, exporter_port=exporter, api_port=api) as made:
            made.wait_state("chat", "loading")
            share = wait_for("its share", lambda: made.engine("chat").get("download"))
            assert share == {"done_bytes": len(WEIGHTS) // 2, "total_bytes": total}
            engine = made.engine("chat")
            assert engine["phase"] is None, "it has not said a word yet"
            assert loading(engine).startswith("50% of 1000.0 KiB downloaded")
            part.write_bytes(WEIGHTS[: len(WEIGHTS) * 3 // 4])
            wait_for(
                "that it grows",
                lambda: made.engine("chat")["download"]["done_bytes"] > len(WEIGHTS) // 2,
            )
