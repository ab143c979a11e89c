"""The first hour of a person: a configuration, a start that finds no vLLM, and then one."""

import json
import os
import struct
from typing import Any

from .tools import CONFIG_PATH, engine, left, ready, sh, show, until

MODEL = "/srv/models/tiny"
INSTALL = "vllmd engine install 0.32.0 --cuda --wheels /opt/t/wheels --uv /opt/t/uv"


def make_model() -> None:
    """Put a model where models are looked for: its config, and weights of one number."""
    os.makedirs(MODEL, exist_ok=True)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 128}
    with open(f"{MODEL}/config.json", "w") as file:
        json.dump({"architectures": ["X"], "max_position_embeddings": 2048, **sizes}, file)
    head = json.dumps({"a.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    with open(f"{MODEL}/model.safetensors", "wb") as weights:
        weights.write(struct.pack("<Q", len(head)) + head.encode() + b"\0\0\0\0")


def walk(row: dict[str, Any]) -> None:
    """Take each step as root would, with a strict umask; each state has to explain itself."""
    make_model()
    with open(CONFIG_PATH) as file:
        before = file.read()
    said = sh("umask 077; vllmd init --yes")
    assert f"wrote {CONFIG_PATH}: {MODEL} as 'tiny' on port 8000" in said, said
    assert "next: vllmd engine install --cpu · vllmd doctor · systemctl enable --now" in said, said
    assert "no program 'vllm' can be run" in sh("vllmd check")
    assert "engine-missing" in sh("vllmd doctor --offline")
    sh("systemctl restart vllmd-daemon")
    until("an engine that cannot start", lambda: engine()["state"] in ("held", "backoff"))
    row["without vLLM"] = sh("vllmd status").splitlines()[-1].strip()
    assert "vllmd engine install" in sh("vllmd status"), sh("vllmd status")
    said = sh(f"umask 077; {INSTALL}")
    assert "0.32.0 is current" in said, said
    now = ready()
    with open(f"/proc/{now['pid']}/cmdline") as file:
        words = file.read().split("\0")
    (row["program"],) = [word for word in words if word.endswith("/bin/vllm")]
    assert row["program"] == "/opt/vllmd/engine/0.32.0/bin/vllm", row
    row["user"] = sh(f"ps -o user= -p {now['pid']}")
    assert row["user"] == "vllmd"
    row["doctor"] = sh("vllmd doctor --offline").splitlines()[-1]
    assert "error" not in row["doctor"], sh("vllmd doctor --offline")
    assert "has no flag --quik" in _with_a_typo()
    assert "ready" in show("vllmd-daemon", "StatusText")
    sh("vllmd stop main")
    with open(CONFIG_PATH, "w") as file:
        file.write(before)
    sh("systemctl restart vllmd-daemon")
    until("no engine", lambda: show("vllmd-daemon", "StatusText") == "no engine is configured")
    assert not [line for line in left() if "VLLM::" in line], left()


def _with_a_typo() -> str:
    """Return what check says of a flag that the installed vLLM does not have."""
    with open(CONFIG_PATH) as file:
        text = file.read()
    with open("/tmp/typo.toml", "w") as file:
        file.write(text + "[engines.main.flags]\nquik = true\n")
    return sh("vllmd check --config /tmp/typo.toml")
