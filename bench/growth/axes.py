"""What grows: one function for each, which yields the points of its curves."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.growth.curve import Point
from bench.growth.measuring import cpu_s, minute_of, of_calls
from bench.history import event
from tests.chaos.growth import pss_mb
from tests.helpers.fleet_pages import page_engine
from tests.helpers.listening import Handler, ServerOfMany
from tests.helpers.nvml import FakeNvml, h200
from tests.helpers.ports import free_port
from tests.helpers.reading import reader_pids
from tests.helpers.site import DAEMON, VLLMD, Site, running, wait_for
from vllmd.demo.adapter import write_adapter
from vllmd.history.store import Store
from vllmd.history.writer import BATCH
from vllmd.util.units import MIB

Points = Iterator[tuple[str, Point]]
"""The name of the curve, and one point of it."""
READY_S = 300.0
ASK_S = 3.0
ENGINE = """
[engines.{name}]
model = "org/{name}"
served_model_name = "{name}"
executable = "stand-in"
port = {port}
"""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder that everybody may look into."""
    with tempfile.TemporaryDirectory(prefix="g-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def daemon(
    where: Path, engines: Sequence[str], more: str = "", env: Mapping[str, str] | None = None
) -> Iterator[Site]:
    """Run a daemon with stand-in engines, which begin to load."""
    exporter, ports = free_port(), {name: free_port() for name in engines}
    text = DAEMON.format(folder=where, exporter=exporter) + more
    text += "".join(ENGINE.format(name=name, port=port) for name, port in ports.items())
    made = Site(where, text, exporter_port=exporter, api_port=next(iter(ports.values())))
    made.env = dict(env or {})
    with running(made):
        yield made


NO_GPUS = '\n[gpu]\nsource = "none"\n'


def engines(counts: Sequence[int]) -> Points:
    """Engines that serve and are idle."""
    for count in counts:
        names = [f"e{n}" for n in range(count)]
        with folder() as where, daemon(where, names, NO_GPUS) as made:
            _wait_ready(made, names)
            cost = minute_of([made.daemon.pid], f"{made.exporter}/metrics")
            yield "engines", Point(count, *cost)


def gpus(counts: Sequence[int]) -> Points:
    """GPUs of the scripted library, each figure at its usual pace."""
    for count in counts:
        with folder() as where:
            found = [h200(n, f"GPU-{n:08}-0000-0000-0000-000000000000") for n in range(count)]
            nvml = FakeNvml(where, *found)
            with daemon(where, ["chat"], '\n[gpu]\nsource = "nvml"\n', nvml.env) as made:
                _wait_ready(made, ["chat"])
                readers = wait_for("the readers", lambda: reader_pids(made.daemon.pid))
                page = f"{made.exporter}/metrics"
                yield "gpus", Point(count, *minute_of([made.daemon.pid, *readers], page))


def adapters(counts: Sequence[int]) -> Points:
    """Adapters of one engine: to load them all, and to keep them."""
    for count in counts:
        with folder() as where:
            for number in range(count):
                write_adapter(where / "adapters" / f"a{number:04}")
            table = f'\n[engines.e0.lora]\ndirectory = "{where}/adapters"\n'
            table += '[engines.e0.env]\nVLLM_ALLOW_RUNTIME_LORA_UPDATING = "1"\n'
            with daemon(where, ["e0"], NO_GPUS + table) as made:
                pid = made.daemon.pid
                _wait_loaded(made, count)
                yield "adapters, loaded", Point(count, cpu_s(pid), pss_mb(pid))
                page = f"{made.exporter}/metrics"
                yield "adapters, kept", Point(count, *minute_of([pid], page))


def _wait_ready(made: Site, engines: Sequence[str]) -> None:
    for name in engines:
        made.wait_state(name, "ready", READY_S)


def _wait_loaded(made: Site, count: int) -> None:
    """Wait for all adapters; seldom, as each answer costs the daemon something."""
    until = time.monotonic() + READY_S
    while True:
        found = made.control.adapters()
        loaded = [a["condition"] == "loaded" for each in found for a in each["adapters"]]
        if loaded.count(True) == count:
            return
        assert time.monotonic() < until, f"{loaded.count(True)} of {count} adapters are loaded"
        time.sleep(ASK_S)


class _Page(Handler):
    """Answers every host's page with the same document."""

    protocol_version = "HTTP/1.1"
    content = json.dumps({"at": time.time(), "engines": [page_engine()]}).encode()

    def reply(self) -> None:
        """Answer."""
        self.answer(200, self.content, "application/json")


def hosts(counts: Sequence[int]) -> Points:
    """Hosts that `vllmd fleet status` asks, on as many loopback addresses."""
    server = ServerOfMany(("0.0.0.0", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for count in counts:
        with folder() as where:
            names = [f"127.0.{n // 250}.{1 + n % 250}:{server.server_port}" for n in range(count)]
            text = f'[fleet]\nname = "prod"\nhosts = {json.dumps(names)}\n'
            config = where / "vllmd.toml"
            config.write_text(text + ENGINE.format(name="chat", port=free_port()))
            words = [str(VLLMD), "fleet", "status", "--json", "-c", str(config)]
            words += ["--socket", str(where / "none.sock")]
            said = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
            assert [h["problem"] for h in said["hosts"]] == [None] * count, said["hosts"][0]
            yield "hosts", Point(count, *of_calls(words))
    server.shutdown()


def events(counts: Sequence[int]) -> Points:
    """Events that the history takes, and `vllmd why` over what it keeps of them."""
    with folder() as where:
        store, spent, written = Store(where, max_bytes=64 * MIB), 0.0, 0
        store.open()
        config = where / "v.toml"
        config.write_text(f'[daemon]\nstate_dir = "{where}"\n')
        nobody = str(where / "no.sock")
        why = [str(VLLMD), "why", "engine-0", "-c", str(config), "--socket", nobody]
        for count in counts:
            while written < count:
                batch = [event(n) for n in range(written, min(count, written + BATCH))]
                before = time.thread_time()
                store.append(batch)
                store.prune_if_due()
                spent += time.thread_time() - before
                written += len(batch)
            yield "events, written", Point(count, spent, pss_mb(os.getpid()))
            yield "events, asked", Point(count, *of_calls(why))
        store.close()


AXES: Mapping[str, tuple[Callable[[Sequence[int]], Points], Sequence[int]]] = {
    "engines": (engines, (1, 2, 4, 8, 16)),
    "gpus": (gpus, (1, 2, 4, 8, 16)),
    "adapters": (adapters, (1, 10, 100, 300, 1000)),
    "hosts": (hosts, (1, 10, 30, 100, 300)),
    "events": (events, (10_000, 100_000, 1_000_000, 10_000_000)),
}
