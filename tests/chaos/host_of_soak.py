"""The host of a soak: eight engines, a client of each, a Prometheus, and what can be done to it."""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.client import OK, Client
from tests.chaos.lab import WITH_PROGRAM, same
from tests.helpers.ports import free_port
from tests.helpers.prometheus import Prometheus, prometheus
from tests.helpers.site import DAEMON, Site, is_back, sweep, wait_for
from vllmd.errors import DaemonUnreachableError, VllmdError
from vllmd.shim import proc

ENGINES = 8
SCRAPES = "scrape_interval: 2s\nscrape_timeout: 2s"
BESIDE_S = 30.0
"""So long before and after a request that was lost, the history is looked at."""
ENDS = frozenset({"engine.exited", "engine.stalled", "engine.backoff_started", "engine.held"})
AFTER_S = 6.0
"""A client notes what it lost when its request ends: within its timeout."""
CONFIG = (
    DAEMON
    + """
[gpu]
source = "none"

[traces]
listen_http = "127.0.0.1:{otlp}"
listen_grpc = ""
"""
)
ENGINE = """
[engines.{name}]
model = "org/{name}"
served_model_name = "{name}"
executable = "stand-in"
port = {port}
unready_s = 0
drain_s = 2
stop_grace_s = 2
restart = {{ initial_s = 1, max_s = 2, max_failures = 1000 }}
liveness = {{ stall_s = 3, hang_s = 20, load_stall_s = 20, diagnose_s = 2 }}
"""


class SoakHost:
    """One daemon with its engines."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        exporter, otlp = free_port(), free_port()
        ports = {f"e{n}": free_port() for n in range(ENGINES)}
        text = CONFIG.format(folder=folder, exporter=exporter, otlp=otlp)
        text += "".join(ENGINE.format(name=name, port=port) for name, port in ports.items())
        first = ports["e0"]
        self.site = Site(folder, text, exporter_port=exporter, api_port=first, otlp_port=otlp)
        self.site.under = (sys.executable, "-c", WITH_PROGRAM, sys.executable)
        self.site.env = {"STATE_DIRECTORY": f"{folder}/state"}
        self.names = tuple(ports)
        self.clients = {name: Client(port, name) for name, port in ports.items()}
        self.prometheus: Prometheus
        self._text = text
        self._drawn = random.Random(1)
        self._hurt: list[tuple[str, float, dict[str, Any]]] = []
        self._spans: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        """When each engine was away because of a fault."""
        self._away: list[tuple[float, float]] = []
        """When there was no daemon, in seconds since the epoch."""
        self._began = time.time()

    # --- what is done -------------------------------------------------------------------------

    def hurt(self, which: str, number: int) -> str:
        """Send a signal to a process of an engine that serves; returns by what it was seen."""
        self._note_back()
        found = [e for e in self._engines() if e["state"] == "ready" and e["pid"]]
        found = [e for e in found if e["name"] not in {name for name, _, _ in self._hurt}]
        if not found:
            return "nobody is well"
        engine = self._drawn.choice(found)
        target = self._target(engine, which)
        if target is None:
            return ""
        self._hurt.append((engine["name"], time.monotonic(), engine))
        os.kill(target.pid, number)
        with contextlib.suppress(AssertionError):
            return wait_for("the fault", lambda: self._is_seen(target, number), 10)
        return ""

    def _target(self, engine: dict[str, Any], which: str) -> proc.Stat | None:
        if which == "core":
            tree = proc.descendants(engine["shim_pid"])
            return next((t for t in tree if "EngineCore" in proc.command_line(t.pid)), None)
        return proc.read_stat(engine["pid" if which == "api" else "shim_pid"])

    @staticmethod
    def _is_seen(target: proc.Stat, number: int) -> str:
        now = proc.read_stat(target.pid)
        if number == signal.SIGSTOP and now is not None and now.state == "T":
            return "T"
        return "" if same(target) else "gone"

    def reload(self) -> str:
        """Change a key that needs no restart of an engine."""
        poll = self._drawn.choice(("4.0", "5.0", "6.0"))
        text = self._text.replace("[gpu]", f"[history]\nmax_mb = {poll[0]}0\n\n[gpu]")
        return self._reload(text, "vllmd_config_last_reload_successful", 1)

    def reload_broken(self) -> str:
        """Give it a file that is none, and then the good one again."""
        metric = "vllmd_config_last_reload_successful"
        seen = self._reload(self._text + "\n[engines.e0\n", metric, 0)
        self._reload(self._text, metric, 1)
        return seen

    def _reload(self, text: str, metric: str, wanted: float) -> str:
        self.site.config.write_text(text)
        self.site.daemon.send_signal(signal.SIGHUP)
        with contextlib.suppress(AssertionError):
            return str(wait_for("it", lambda: self.prometheus.value(metric) == wanted, 60))
        return ""

    def kill_daemon(self) -> str:
        return self._replace(signal.SIGKILL)

    def upgrade(self) -> str:
        return self._replace(signal.SIGTERM)

    def _replace(self, number: int) -> str:
        before, began = proc.read_stat(self.site.daemon.pid), time.time()
        self.site.daemon.send_signal(number)
        self.site.daemon.wait(60)
        self.site.start()
        self._away.append((began, time.time()))
        return "" if same(before) else "gone"

    # --- what is seen ----------------------------------------------------------------------------

    def _engines(self) -> list[dict[str, Any]]:
        with contextlib.suppress(DaemonUnreachableError):
            return list(self.site.control.status()["engines"])
        return []

    def _note_back(self) -> None:
        """Note which engines that were hurt serve again, with another run."""
        now = {engine["name"]: engine for engine in self._engines()}
        for hurt in list(self._hurt):
            name, since, before = hurt
            engine = now.get(name, {})
            if is_back(engine, before):
                self._spans[name].append((since, time.monotonic() + AFTER_S))
                self._hurt.remove(hurt)

    def lost_unhurt(self) -> list[dict[str, Any]]:
        """Return requests that failed while nothing was done to their engine.

        Times are seconds since the epoch.
        """
        self._note_back()
        for name, since, _ in self._hurt:
            self._spans[name].append((since, float("inf")))
        found, epoch = [], time.time() - time.monotonic()
        for name, client in self.clients.items():
            for each in client.outcomes:
                away = self._spans[name]
                known = any(a <= each.ended and each.began <= b for a, b in away)
                if each.what != OK and not known:
                    began, ended = each.began + epoch, each.ended + epoch
                    found.append(
                        {"engine": name, "what": each.what, "began": began, "ended": ended}
                    )
        return sorted(found, key=lambda each: each["began"])

    def beside(self, lost: dict[str, Any]) -> dict[str, Any]:
        """Return what the history has of an engine about the time that a request of it was lost."""
        wanted = {
            "engine": lost["engine"],
            "since": lost["began"] - BESIDE_S,
            "until": lost["ended"] + BESIDE_S,
        }
        try:
            told = self.site.control.events(wanted)
        except VllmdError as problem:
            return {"by": "vllmd", "events": [f"not known: {problem}"]}
        shown = [
            f"{each['at'] - lost['began']:+.1f} s {each['name']} "
            f"{each['fields'].get('state', each['fields'].get('text', ''))}".rstrip()
            for each in told
        ]
        return {"by": whose(lost["what"], [each["name"] for each in told]), "events": shown}

    def scrapes(self) -> dict[str, int]:
        """Return how many there were, and how many failed while a daemon was there."""
        seen = self.prometheus.history("up", self._began, time.time())
        bad = [at for at, value in seen if not value]
        ours = [at for at in bad if not any(a - 1 <= at <= b + 4 for a, b in self._away)]
        return {"all": len(seen), "bad": len(bad), "bad while a daemon was there": len(ours)}


def whose(what: str, told: Sequence[str]) -> str:
    """Return by whom a request was lost that failed while nothing was done to its engine.

    vllmd is in no request's path: it loses one only if it ends an engine, and tells that. A request
    that nobody answered in time, of an engine that went on, was lost by a host that is too busy.
    """
    went_on = not ENDS.intersection(told)
    return "the host" if what == "timed out" and went_on else "vllmd"


@contextmanager
def soaking(folder: Path) -> Iterator[SoakHost]:
    """Run such a host until all engines serve; at the end nothing of it is left."""
    host = SoakHost(folder)
    with ExitStack() as stack:
        stack.callback(sweep, folder)
        host.site.start()
        stack.callback(host.site.kill_daemon)
        target = host.site.exporter.removeprefix("http://")
        jobs = {"vllmd": SCRAPES}
        where = folder / "prometheus"
        host.prometheus = stack.enter_context(prometheus(where, target, jobs=jobs))
        wait_for("engines", lambda: all(e["state"] == "ready" for e in host._engines()), 300)
        for client in host.clients.values():
            client.start()
            stack.callback(client.close)
        host._began = time.time()
        yield host
