"""A vllmd that is stopped in bursts beside engines under load: no restart, no failed request.

One daemon keeps stand-in engines with `stall_s = 5`. It is stopped and continued (SIGSTOP, SIGCONT)
at random while clients ask the engines; now and then the core of the last engine really hangs.
Prints one table; ends with 1 if an engine that was well was restarted, a request failed, or a hang
was missed.

Usage: python bench/starved.py [minutes] [first seed]
"""

import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, running
from vllmd.shim import proc

ENGINES = 4
"""The last one is made to hang."""
HANG_EVERY_S = 60.0
FOUND_S = 60.0
"""A hang is to be ended within so long, beside the time in which the daemon was stopped."""
ENGINE = """
[engines.e{n}]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
port = {port}
unready_s = 0
restart = {{ initial_s = 0.2, max_s = 1, max_failures = 1000 }}

[engines.e{n}.liveness]
stall_s = 5
hang_s = 25
diagnose_s = 2
"""


class Clients:
    """Two clients for each engine that is well, one request after the other."""

    def __init__(self, ports: list[int]) -> None:
        self.served = 0
        self.failed: list[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for port in ports * 2]

    def _ask(self, port: int) -> None:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "max_tokens": 200}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        while not self._done.is_set():
            try:
                httpx.post(url, json=body, timeout=120, trust_env=False).raise_for_status()
                self.served += 1
            except httpx.HTTPError as error:
                self.failed.append(f"{port}: {error!r}")
                time.sleep(1)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the end of the block."""
        for thread in self._threads:
            thread.start()
        yield
        self._done.set()
        for thread in self._threads:
            thread.join()


class Throttle(threading.Thread):
    """Stops a process in bursts: 0.2 to 12 s, with 0.2 to 4 s between them."""

    def __init__(self, pid: int, seed: int) -> None:
        super().__init__()
        self.stopped_s = 0.0
        self._pid = pid
        self._dice = random.Random(seed)
        self.done = threading.Event()

    def run(self) -> None:
        """Stop and continue until `done`."""
        while not self.done.is_set():
            stop_s = self._dice.uniform(0.2, 12)
            os.kill(self._pid, signal.SIGSTOP)
            time.sleep(stop_s)
            os.kill(self._pid, signal.SIGCONT)
            self.stopped_s += stop_s
            time.sleep(self._dice.uniform(0.2, 4))


def core_of(folder: Path, engine: str) -> proc.Stat | None:
    """Find the core of an engine by its records: the daemon may be stopped."""
    with contextlib.suppress(OSError, ValueError):
        path = folder / "run" / "engines" / engine / "run.json"
        shim_pid = int(httpx.Response(200, content=path.read_bytes()).json()["shim_pid"])
        for stat in proc.descendants(shim_pid):
            if proc.command_line(stat.pid).startswith("VLLM::EngineCore"):
                return stat
    return None


def hang(folder: Path, engine: str, port: int, throttle: Throttle) -> float | None:
    """Let a core hang with a request in flight; returns after how many watched seconds it ended."""
    core = core_of(folder, engine)
    if core is None:
        return 0.0
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "max_tokens": 4000}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(url, json=body, timeout=300, trust_env=False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    time.sleep(1)
    os.kill(core.pid, signal.SIGSTOP)
    began, stopped_s = time.monotonic(), throttle.stopped_s
    while True:
        now = proc.read_stat(core.pid)
        if now is None or now.start_ticks != core.start_ticks:
            return time.monotonic() - began - (throttle.stopped_s - stopped_s)
        if time.monotonic() - began - (throttle.stopped_s - stopped_s) > FOUND_S:
            os.kill(core.pid, signal.SIGCONT)
            return None
        time.sleep(0.2)


def main() -> int:
    """Run for some minutes and print what came of it."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder, ports = Path(name), [free_port() for _ in range(ENGINES)]
        exporter = free_port()
        text = DAEMON.format(folder=folder, exporter=exporter) + "poll_s = 1\n"
        text += "".join(ENGINE.format(n=n, port=port) for n, port in enumerate(ports))
        made = Site(folder, text, exporter_port=exporter, api_port=ports[0])
        found: list[float | None] = []
        with running(made):
            for n in range(ENGINES):
                made.wait_state(f"e{n}", "ready", 120)
            throttle = Throttle(made.daemon.pid, seed)
            clients = Clients(ports[:-1])
            ended = time.monotonic() + minutes * 60
            throttle.start()
            with clients.asking():
                while time.monotonic() < ended:
                    time.sleep(HANG_EVERY_S / 2)
                    found.append(hang(folder, f"e{ENGINES - 1}", ports[-1], throttle))
                    time.sleep(HANG_EVERY_S / 2)
            throttle.done.set()
            throttle.join()
            time.sleep(5)
            restarts = {f"e{n}": made.engine(f"e{n}")["restarts"] for n in range(ENGINES)}
    well = sum(restarts[f"e{n}"] for n in range(ENGINES - 1))
    missed = sum(each is None for each in found)
    ended_s = [each for each in found if each]
    print(f"minutes                         {minutes:g}")
    print(f"daemon stopped, seconds         {throttle.stopped_s:.0f}")
    print(f"requests served, failed         {clients.served}, {len(clients.failed)}")
    print(f"restarts of engines that were well   {well}")
    print(f"hangs, missed                   {len(found)}, {missed}")
    print(f"hang ended after, at most       {max(ended_s, default=0):.0f} s of its own time")
    for error in clients.failed[:5]:
        print(f"  {error}")
    return 1 if well or clients.failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
