"""The first hour of a person, in two orders; each state on the way has to explain itself."""

import json
import os
import struct
from typing import Any

from .tools import CONFIG_PATH, engine, left, ready, sh, show, until

MODEL = "/srv/models/tiny"
INSTALL = "vllmd engine install 0.32.0 --cuda --wheels /opt/t/wheels --uv /opt/t/uv"
LOGS = "/opt/t/first-run-{}.log"

Row = dict[str, Any]


class Terminal:
    """Root's, with a strict umask; it keeps what was typed and what came, for people to read."""

    def __init__(self, order: str) -> None:
        self._path = LOGS.format(order)

    def __call__(self, command: str) -> str:
        said = sh(f"umask 077; {command}")
        with open(self._path, "a") as file:
            file.write(f"# {command}\n{said}\n\n")
        return said


def configuration_first(row: Row) -> None:
    """Run a daemon that has no engine, configure, start without a vLLM, install it: it serves."""
    type_ = Terminal("configuration-first")
    _make_model()
    before = _packaged()
    assert "no engine is configured" in type_("vllmd status")
    said = type_("vllmd init --yes")
    assert f"wrote {CONFIG_PATH}: {MODEL} as 'tiny' on port 8000" in said, said
    assert "next: vllmd engine install --cpu · vllmd doctor · systemctl enable --now" in said, said
    assert "no program 'vllm' can be run" in type_("vllmd check")
    assert "engine-missing" in type_("vllmd doctor --offline")
    type_("systemctl restart vllmd-daemon")
    until("an engine that cannot start", lambda: engine()["state"] in ("held", "backoff"))
    row["without vLLM"] = type_("vllmd status").splitlines()[-1].strip()
    assert "vllmd engine install" in sh("vllmd status"), sh("vllmd status")
    said = type_(INSTALL)
    assert "0.32.0 is current" in said, said
    _serves(row, type_)
    assert "has no flag --quik" in _with_a_typo()
    _undo(before)


def engine_first(row: Row) -> None:
    """Install vLLM before there is a daemon or a configuration, then configure, then enable."""
    type_ = Terminal("engine-first")
    before = _packaged()
    sh("systemctl disable --now vllmd; rm -r /opt/vllmd")
    row["no daemon"] = type_("vllmd status")
    assert "systemctl" in row["no daemon"], row
    assert "no engine is configured" in type_("vllmd check")
    said = type_(INSTALL)
    assert "0.32.0 is current" in said, said
    row["doctor, without a configuration"] = type_("vllmd doctor --offline").splitlines()[-1]
    assert "vllmd init" in row["doctor, without a configuration"], row
    said = type_("vllmd init --yes")
    assert "next: vllmd doctor · systemctl enable --now vllmd" in said, said
    assert f"wrote {CONFIG_PATH}: {MODEL} as 'tiny' on port 8000" in said, said
    type_("systemctl enable --now vllmd")
    _serves(row, type_)
    _undo(before)


def _serves(row: Row, type_: Terminal) -> None:
    now = ready()
    with open(f"/proc/{now['pid']}/cmdline") as file:
        words = file.read().split("\0")
    (row["program"],) = [word for word in words if word.endswith("/bin/vllm")]
    assert row["program"] == "/opt/vllmd/engine/0.32.0/bin/vllm", row
    row["user"] = sh(f"ps -o user= -p {now['pid']}")
    assert row["user"] == "vllmd"
    row["doctor"] = type_("vllmd doctor --offline").splitlines()[-1]
    assert "error" not in row["doctor"], sh("vllmd doctor --offline")
    assert "ready" in type_("vllmd status")
    until("its status", lambda: "ready" in show("vllmd-daemon", "StatusText"))
    type_("systemctl status --no-pager --lines 0 vllmd-daemon | grep -E 'Active|Status'")


def _make_model() -> None:
    """Put a model where models are looked for: its config, and weights of one number."""
    os.makedirs(MODEL, exist_ok=True)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 128}
    with open(f"{MODEL}/config.json", "w") as file:
        json.dump({"architectures": ["X"], "max_position_embeddings": 2048, **sizes}, file)
    head = json.dumps({"a.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    with open(f"{MODEL}/model.safetensors", "wb") as weights:
        weights.write(struct.pack("<Q", len(head)) + head.encode() + b"\0\0\0\0")


def _packaged() -> str:
    with open(CONFIG_PATH) as file:
        return file.read()


def _undo(before: str) -> None:
    """Leave the daemon without an engine, as it was."""
    sh("systemctl stop vllmd")
    with open(CONFIG_PATH, "w") as file:
        file.write(before)
    sh("systemctl start vllmd")
    until("no engine", lambda: show("vllmd-daemon", "StatusText") == "no engine is configured")
    assert not [line for line in left() if "VLLM::" in line], left()


def _with_a_typo() -> str:
    """Return what check says of a flag that the installed vLLM does not have."""
    with open("/tmp/typo.toml", "w") as file:
        file.write(_packaged() + "[engines.main.flags]\nquik = true\n")
    return sh("vllmd check --config /tmp/typo.toml")
