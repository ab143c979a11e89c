"""A pull that is killed goes on where it was."""

import os
import signal
import subprocess
import threading
from pathlib import Path

from tests.helpers.hub import FakeHub, serving
from tests.helpers.site import VLLMD, wait_for

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
