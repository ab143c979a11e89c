"""A host to look at: two stand-in engines with traffic, one is killed; Prometheus stores it all.

It takes as long as what is to be seen: nothing of it is made up.
"""

import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx

from tests.helpers.background import Background
from tests.helpers.ports import free_port
from tests.helpers.prometheus import Prometheus, prometheus
from tests.helpers.site import DAEMON, Site, running
from tests.helpers.tracing import trace_headers
from tools.pictures.demo_gpus import DemoGpus
from vllmd.demo.adapter import write_adapter

ROOT = Path(__file__).parents[2]
HOST = "gpu-01:9840"
CLIENTS = 10
CONFIG = (
    DAEMON
    + """
[cost]
gpu_hour = 2.50
kwh = 0.30
budget_million_tokens = 5.00

[gpu]
source = "nvml"
every_s = 0.5

[traces]
listen_http = "127.0.0.1:{otlp}"
listen_grpc = ""

[engines.chat]
model = "stand-in/chat"
served_model_name = "chat"
executable = "stand-in"
port = {chat}
max_model_len = 8192
max_num_seqs = 8
gpu_memory_utilization = 0.9
env = {{ CUDA_VISIBLE_DEVICES = "0" }}
restart = {{ initial_s = 5, max_s = 10 }}

[engines.chat.lora]
modules = {{ sql = "{folder}/lora/sql", support = "{folder}/lora/support" }}

[engines.code]
model = "stand-in/code"
served_model_name = "code"
executable = "stand-in"
port = {code}
max_model_len = 8192
gpu_memory_utilization = 0.6
env = {{ CUDA_VISIBLE_DEVICES = "1" }}
"""
)
SHARES = {"chat": 0.9, "code": 0.6}
SPEED = {
    "VLLMD_STAND_IN_LOAD_S": "12",
    "VLLMD_STAND_IN_STEP_S": "0.02",
    "VLLMD_STAND_IN_PREFILL_S": "0.0004",
}
TELL_INSTANCE = f"""\
relabel_configs:
  - {{ target_label: instance, replacement: "{HOST}" }}
"""


@attrs.frozen
class Recorded:
    """A host that runs, what Prometheus has of it, and from when to when."""

    made: Site
    stored: Prometheus
    begin: float
    end: float


@contextmanager
def recorded(folder: Path, seconds: float) -> Iterator[Recorded]:
    """Run the host for so long, then yield what was stored; all runs on until the block ends."""
    ports = {name: free_port() for name in ("exporter", "otlp", "chat", "code")}
    for adapter in ("sql", "support"):
        write_adapter(folder / "lora" / adapter)
    text = CONFIG.format(folder=folder, **ports)
    made = Site(
        folder,
        text,
        exporter_port=ports["exporter"],
        api_port=ports["chat"],
        otlp_port=ports["otlp"],
    )
    gpus = DemoGpus(folder, SHARES)
    made.env = SPEED | gpus.fake.env
    with running(made), gpus.following(made):
        for name in ("chat", "code"):
            made.wait_state(name, "ready", 120)
        rules = [ROOT / "dashboards" / "rules"]
        jobs = {"vllmd": TELL_INSTANCE}
        target = f"127.0.0.1:{ports['exporter']}"
        with prometheus(folder / "p", target, rules, jobs) as stored:
            begin = time.time()
            with Background([_client(n, ports, begin, seconds) for n in range(CLIENTS)]):
                _pass(begin + 0.62 * seconds)
                os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
                _pass(begin + seconds)
            yield Recorded(made, stored, begin, begin + seconds)


def _pass(until: float) -> None:
    time.sleep(max(0.0, until - time.time()))


def _client(number: int, ports: dict[str, int], begin: float, seconds: float) -> Callable[[], None]:
    """Return what one client does again and again: it asks, or nobody is there."""
    drawn = random.Random(number)
    model, port = ("code", ports["code"]) if number % 4 == 3 else ("chat", ports["chat"])
    count = 0

    def ask() -> None:
        nonlocal count
        count += 1
        share = (time.time() - begin) / seconds
        if 0.65 + 0.35 * math.sin(9 * share) < number / CLIENTS:
            time.sleep(0.5)
            return
        adapter = drawn.choice(("chat", "chat", "sql", "support")) if model == "chat" else model
        text = "word " * drawn.randrange(20, 400)
        body = {
            "model": adapter,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": drawn.randrange(20, 160),
        }
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        headers = trace_headers(adapter)
        try:
            httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)
        except httpx.HTTPError:
            time.sleep(1)  # it starts again
        time.sleep(drawn.uniform(0.05, 0.8))

    return ask
