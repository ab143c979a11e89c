"""A site whose engine keeps its weights in memory (preload), with the stand-in."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, site

CONFIG = (
    DAEMON
    + """poll_s = 0.3

[engines.chat]
model = "{model}"
served_model_name = "tiny"
executable = "stand-in"
preload = true
port = {api}
unready_s = 0
drain_s = 1
stop_grace_s = 5
restart = {{ initial_s = 0.1, max_s = 1 }}
max_num_seqs = 256

[engines.chat.flags]
tensor-parallel-size = 2

[engines.chat.liveness]
stall_s = 1
hang_s = 2
"""
)


def write_model(folder: Path, value: int) -> None:
    """Write a checkpoint of one tensor: its head is the same whatever it holds."""
    folder.mkdir(exist_ok=True)
    head = json.dumps({"w": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]}}).encode()
    data = struct.pack("<Q", len(head)) + head + bytes([value]) * 64
    if not (folder / "config.json").exists():
        (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(data)


@contextmanager
def preloading(folder: Path) -> Iterator[Site]:
    """Run a site whose engine `chat` serves weights that are kept; its `folder` is a short one."""
    write_model(folder / "model", 1)
    exporter, api = free_port(), free_port()
    text = CONFIG.format(folder=folder, exporter=exporter, api=api, model=folder / "model")
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        try:
            made.wait_state("chat", "ready", 120)  # the host may be busy
            yield made
        finally:
            if made.daemon.poll() is not None:
                made.start()
