from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.outcomes import Outcome, outcome_for
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, running, site
from vllmd.demo.adapter import write_adapter

CONFIG = (
    DAEMON
    + """poll_s = 0.5

[engines.chat]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
port = {api}
max_num_seqs = 256
unready_s = {unready_s}
drain_s = {drain_s}
stop_grace_s = 5
restart = {{ initial_s = 0.2, max_s = 1 }}

[engines.chat.liveness]
stall_s = {stall_s}
hang_s = {hang_s}
load_stall_s = 2
canary = {canary}
canary_every_s = 1
{lora}
"""
)
COST = """
[gpu]
source = "demo"

[cost]
gpu_hour = 2.5
kwh = 0.3
budget_million_tokens = 2
"""
GPU_CONFIG = (
    DAEMON
    + """
[gpu]
source = "nvml"
every_s = 0.2
processes_s = 1
slow_s = 1

[engines.chat]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "stand-in"
port = {api}
gpu_memory_utilization = 0.5
unready_s = 0
restart = {{ initial_s = 0.2, max_s = 1 }}
"""
)
"""A host whose GPUs are those of a scripted library."""
LORA = """
[engines.chat.lora]
modules = {{ sql = "{folder}/lora/sql" }}
"""


def config_for(folder: Path, exporter: int, api: int, **more: Any) -> str:
    """Fill in the configuration; `more` changes its limits, its key `daemon` adds to that table."""
    write_adapter(folder / "lora" / "sql")
    more.setdefault("lora", LORA.format(folder=folder))
    keys, model = more.pop("daemon", ""), more.pop("model", "org/model")
    limits = {"canary": "false", "unready_s": 0, "drain_s": 5, "stall_s": 2, "hang_s": 5, **more}
    text = CONFIG.format(folder=folder, exporter=exporter, api=api, **limits)
    text = text.replace('model = "org/model"', f'model = "{model}"', 1)
    return text.replace("[daemon]\n", f"[daemon]\n{keys}\n", 1)


@contextmanager
def serving(
    folder: Path, *, more: str = "", env: dict[str, str] | None = None, **config: Any
) -> Iterator[Site]:
    """Run a site of one's own until its engine `chat` serves."""
    exporter, api = free_port(), free_port()
    text = config_for(folder, exporter, api, **config) + more
    with site(folder, text, exporter_port=exporter, api_port=api, **(env or {})) as made:
        made.wait_state("chat", "ready")
        yield made


@contextmanager
def receiving(folder: Path, more: str = "", daemon: str = "") -> Iterator[Site]:
    """Run a site with both receivers of spans; `more` goes on in `traces`, `daemon` in its own."""
    exporter, api, http_port, grpc_port = (free_port() for _ in range(4))
    text = config_for(folder, exporter, api).replace("[daemon]\n", f"[daemon]\n{daemon}\n")
    text += f'\n[traces]\nlisten_http = "127.0.0.1:{http_port}"\n'
    text += f'listen_grpc = "127.0.0.1:{grpc_port}"\n{more}\n'
    made = Site(folder, text, exporter_port=exporter, api_port=api, otlp_port=http_port)
    with running(made):
        made.wait_state("chat", "ready")
        yield made


def sequences(made: Site) -> float:
    """Return how many sequences of `chat` came as spans."""
    return made.samples("vllmd_span_sequences_total").get(("chat",), 0.0)


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Site]:
    """A site whose engine `chat` serves."""
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """Note what became of a fault."""
    return outcome_for("stand-in", request)
