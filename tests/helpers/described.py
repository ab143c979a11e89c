"""schemathesis against a daemon's control socket: what is asked is drawn from its description."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.ports import free_port
from tests.helpers.relay import relay
from tests.helpers.site import DAEMON, Site, site
from vllmd.demo.adapter import write_adapter

ROOT = Path(__file__).parents[2]
DESCRIBED = ROOT / "docs" / "reference" / "control-api.json"
RULES = Path(__file__).with_name("schemathesis.toml")
CONFIG = (
    DAEMON
    + """poll_s = 0.3

[gpu]
source = "demo"

[cost]
gpu_hour = 2.5

[engines.chat]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "stand-in"
port = {api}
unready_s = 0
drain_s = 1
stop_grace_s = 2
restart = {{ initial_s = 0.1, max_s = 1 }}

[engines.chat.probe]
on_mismatch = "alert"

[engines.chat.sleep]
after_idle_s = 3600

[engines.chat.lora]
modules = {{ sql = "{folder}/lora/sql" }}
"""
)


@contextmanager
def described_daemon(folder: Path) -> Iterator[Site]:
    """Run a daemon with an engine that has all that the control socket is asked about."""
    write_adapter(folder / "lora" / "sql")
    exporter, api = free_port(), free_port()
    text = CONFIG.format(folder=folder, exporter=exporter, api=api)
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready")
        yield made


def with_engine(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a description whose paths are of this engine mostly: a drawn name is none."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for given in operation["parameters"]:
                if given["in"] == "path":
                    given["schema"] = {"type": "string", "enum": [name, "nobody"]}
    return document


def try_all(
    made: Site, folder: Path, seed: int, *more: str, document: Path = DESCRIBED
) -> subprocess.CompletedProcess[str]:
    """Ask all that the description has, well and badly; returns what schemathesis says."""
    drawn = folder / "control-api.json"
    drawn.write_text(json.dumps(with_engine(json.loads(document.read_text()), "chat")))
    with relay(made.folder / "run" / "control.sock") as url:
        command = [str(Path(sys.executable).with_name("st")), "--config-file", str(RULES), "run"]
        command += [str(drawn), "--url", url, "--seed", str(seed), "--no-color", *more]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
