"""A host for faults: a daemon, the engine that is hurt, one beside it, clients and a Prometheus."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.client import Client
from tests.helpers.nvml import FakeNvml, h200
from tests.helpers.ports import free_port
from tests.helpers.prometheus import Prometheus, prometheus
from tests.helpers.site import DAEMON, Site, sweep, wait_for
from vllmd.errors import DaemonUnreachableError
from vllmd.shim import proc

CHAT, OTHER = "chat", "other"
PROGRAM = Path(__file__).with_name("engine.py")
GPU_2 = "GPU-00000000-0000-0000-0000-000000000002"
LOAD_S = "0.4"
PAUSE_S = 1.5
"""The pause before a restart: as long as a fault needs to be in it."""
UNREADY_S = 1.5
"""The same for `draining`."""
SPAWN_S = 1.5
"""The same for `starting`."""
CONFIG = (
    DAEMON
    + """poll_s = 0.3

[gpu]
source = "nvml"
every_s = 0.3
processes_s = 1
slow_s = 1

[logs]
rotate_mb = 4
budget_mb = 12

[traces]
listen_http = "127.0.0.1:{otlp}"
listen_grpc = ""
"""
)
ENGINE = """
[engines.{name}]
model = "{folder}/model-{name}"
served_model_name = "{name}"
executable = {program}
port = {port}
gpu_memory_utilization = 0.3
unready_s = {unready_s}
drain_s = 8
stop_grace_s = 5
env = {{ CUDA_VISIBLE_DEVICES = "{gpu}" }}
{keys}

[engines.{name}.restart]
initial_s = {pause_s}
max_s = {pause_s}
jitter = 0
max_failures = 1000

[engines.{name}.liveness]
stall_s = 2
gpu_stall_s = 0
hang_s = 5
load_stall_s = 2
diagnose_s = 1
"""
WITH_PROGRAM = """
import runpy, sys
sys.executable, sys.argv = sys.argv[1], [*sys.argv[2:], "--service"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs vllmd as a service: another file is its Python, and SIGTERM leaves the engines."""
SLOW_PYTHON = """#!{python} -IS
import os, sys, time
if any("vllmd/shim" in each for each in sys.argv) and os.path.exists("{folder}/slow-spawn"):
    time.sleep({spawn_s})
os.execv("{python}", ["{python}", *sys.argv[1:]])
"""
"""A Python that starts a shim slowly while a file is there, as a host that has no CPU does."""


class Lab:
    """One host. Its engine `chat` is hurt; nothing may happen to `other`."""

    def __init__(self, folder: Path, *, preload: bool = False, env: dict[str, str] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.preload = folder, preload
        self.fake = FakeNvml(folder, h200(), h200(1, GPU_2, pci="00000000:00:07.0"))
        for index in (0, 1):
            self.fake.uses(index=index)
        exporter, self.port, other, self.otlp = (free_port() for _ in range(4))
        slow = folder / "python"
        slow.write_text(SLOW_PYTHON.format(python=sys.executable, folder=folder, spawn_s=SPAWN_S))
        slow.chmod(0o755)
        text = CONFIG.format(folder=folder, exporter=exporter, otlp=self.otlp)
        program = json.dumps([sys.executable, str(PROGRAM), str(folder)])
        keys = (
            "preload = true\n"
            if preload
            else "sleep = { level = 2 }  # level 1 wants memory of the host\n"
        )
        text += self._engine(CHAT, 0, self.port, program, UNREADY_S, keys)
        text += self._engine(OTHER, 1, other, '"stand-in"', 0, "")
        self.say("load_s", LOAD_S)
        made = Site(folder, text, exporter_port=exporter, api_port=self.port, otlp_port=self.otlp)
        made.under = (sys.executable, "-c", WITH_PROGRAM, str(slow))
        made.env = {**self.fake.env, "STATE_DIRECTORY": f"{folder}/state", **(env or {})}
        self.site = made
        self.chat, self.other = Client(self.port, CHAT), Client(other, OTHER)
        self.prometheus: Prometheus
        self.keeps_daemon = True
        """Whether a daemon that ended is started again, as a service manager does."""

    def _engine(
        self, name: str, gpu: int, port: int, program: str, unready_s: float, keys: str
    ) -> str:
        model = self.folder / f"model-{name}"
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text("{}")
        return ENGINE.format(
            name=name,
            folder=self.folder,
            program=program,
            port=port,
            gpu=gpu,
            keys=keys,
            unready_s=unready_s,
            pause_s=PAUSE_S,
        )

    # --- what the scripted engine does -----------------------------------------------------

    def say(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def unsay(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    # --- the daemon ------------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start a daemon, and wait until it answers."""
        self.site.start()

    def daemon_alive(self) -> bool:
        return self.site.daemon.poll() is None

    def engine(self, name: str = CHAT) -> dict[str, Any]:
        """Return what the daemon says of an engine; nothing if it does not answer."""
        with contextlib.suppress(DaemonUnreachableError, OSError):
            return self.site.engine(name)
        return {}

    def state(self) -> str:
        return str(self.engine().get("state", ""))

    def wait_states(self, *states: str, limit_s: float = 90) -> dict[str, Any]:
        """Wait until it is in one of these states; returns its status."""

        def ask() -> dict[str, Any] | None:
            found = self.engine()
            return found if found.get("state") in states else None

        return wait_for(f"chat {' or '.join(states)}, not {self.state()!r}", ask, limit_s)

    # --- what /proc shows ------------------------------------------------------------------

    def shim(self) -> int | None:
        """Return the process id of the shim of `chat`, also of one that has not reported yet."""
        known = self.engine().get("shim_pid")
        if known:
            return int(known)
        others = {self.engine(OTHER).get("shim_pid"), self._weights_shim()}
        for stat in proc.descendants(self.site.daemon.pid):
            if stat.pid not in others and "vllmd/shim" in proc.command_line(stat.pid):
                return stat.pid
        return None

    def _weights_shim(self) -> int | None:
        return (self.engine().get("weights") or {}).get("shim_pid")

    def process(self, which: str) -> proc.Stat | None:
        """Return a process by what it is: daemon, shim, api, core, reader, weights."""
        if which == "daemon":
            return proc.read_stat(self.site.daemon.pid)
        if which == "reader":
            return next(iter(self.readers()), None)
        if which == "weights":
            shim = self._weights_shim()
            found = proc.descendants(shim) if shim else []
            return next((f for f in found if "weights" in proc.command_line(f.pid)), None)
        shim = self.shim()
        if which == "shim":
            return proc.read_stat(shim) if shim else None
        tree = proc.descendants(shim) if shim else []
        title = "VLLM::EngineCore" if which == "core" else "serve"
        return next((t for t in tree if title in proc.command_line(t.pid)), None)

    def readers(self) -> list[proc.Stat]:
        """Return the processes that read the GPUs."""
        children = proc.descendants(self.site.daemon.pid)
        return [each for each in children if "gpu" in proc.command_line(each.pid)]

    def tree(self) -> list[proc.Stat]:
        """Return all processes of `chat`, its shim too."""
        shim = self.shim()
        stat = proc.read_stat(shim) if shim else None
        return [*proc.descendants(stat.pid), stat] if stat else []

    def bad_scrapes(self, seconds: float) -> int:
        """Return how many of Prometheus's scrapes of the last seconds failed."""
        span = f"[{max(2, round(seconds))}s]"
        query = f"sum(count_over_time(up{span}) - sum_over_time(up{span}))"
        return round(self.prometheus.value(query) or 0)


def same(stat: proc.Stat | None) -> bool:
    """Tell whether that very process lives."""
    now = proc.read_stat(stat.pid) if stat else None
    return bool(stat and now and now.start_ticks == stat.start_ticks and not now.is_zombie)


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Lab]:
    """Run a host until its engines serve; at the end nothing of it is left."""
    lab = Lab(folder, **options)
    with ExitStack() as stack:
        stack.callback(_end, lab)
        lab.start_daemon()
        target = lab.site.exporter.removeprefix("http://")
        lab.prometheus = stack.enter_context(prometheus(folder / "prometheus", target))
        for client in (lab.chat, lab.other):
            client.start()
            stack.callback(client.close)
        lab.wait_states("ready", limit_s=60)
        wait_for("other", lambda: lab.engine(OTHER).get("state") == "ready", 60)
        yield lab


def _end(lab: Lab) -> None:
    for stat in [*lab.tree(), proc.read_stat(lab.site.daemon.pid)]:
        with contextlib.suppress(ProcessLookupError, AttributeError):
            os.kill(stat.pid, signal.SIGCONT)  # type: ignore[union-attr]
    if lab.daemon_alive():
        try:
            lab.site.stop()
        except subprocess.TimeoutExpired:
            lab.site.kill_daemon()
    time.sleep(0.1)
    sweep(lab.folder)
