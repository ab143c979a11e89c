"""Hosts that are network namespaces on one bridge, each with a vllmd of its own."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.site import Site, needs, running, skip_or_fail, wait_for
from tests.helpers.web import CERTIFICATES, PASSWORD, TLS, USERS
from tests.helpers.web import write as write_web
from vllmd.shim import proc

API, EXPORTER = 8000, 9840
ASKING = Path(__file__).with_name("asking.py")
FIXED = """
[daemon]
listen = "0.0.0.0:{exporter}"
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"
poll_s = 0.5
"""
ENGINE = """
[engines.big]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
host = "0.0.0.0"
unready_s = 0.5
drain_s = 2
stop_grace_s = 3
restart = {{ initial_s = 0.2, max_s = 1 }}
{more}

[engines.big.group]
hosts = [{hosts}]
mode = "{mode}"
"""
WEB = USERS + TLS.replace("server.", "hosts.")
FLEET = f"""
[fleet]
user = "prometheus"
password_file = "{{folder}}/password"
ca_file = "{CERTIFICATES}/hosts.pem"
timeout_s = 2
"""
"""How pages are asked where they have TLS and passwords."""
_numbers = itertools.count()


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr}")


@attrs.frozen
class Host:
    """One namespace; `site` is its vllmd."""

    number: int
    namespace: str
    link: str
    """The other end of its cable, in the namespace of the bridge."""
    bridge: str
    address: str
    site: Site
    web: bool = False
    """Whether its pages have TLS and passwords."""

    def cable(self, *, plugged: bool) -> None:
        _ip("-n", self.bridge, "link", "set", self.link, "up" if plugged else "down")

    def run(self, *words: str, timeout_s: float = 20) -> subprocess.CompletedProcess[str]:
        """Run a program on this host."""
        command = ["ip", "netns", "exec", self.namespace, *words]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=timeout_s
        )

    @property
    def engine(self) -> dict[str, Any]:
        found: dict[str, Any] = self.site.control.status()["engines"][0]
        return found

    @property
    def state(self) -> str:
        return str(self.engine["state"])

    @property
    def reason(self) -> str | None:
        """Why it is as it is, as `vllmd status` says it."""
        found: str | None = self.engine["reason"]
        return found

    def act(self, what: str) -> None:
        self.site.control.act("big", what)

    def get(self, path: str, port: int = EXPORTER) -> tuple[int, str]:
        """Ask this host's exporter, from itself."""
        asked = [f"http://127.0.0.1:{port}{path}"]
        if self.web and port == EXPORTER:
            asked = ["-k", "-u", f"prometheus:{PASSWORD}", f"https://127.0.0.1:{port}{path}"]
        done = self.run("curl", "-s", "-m", "5", "-w", "\\n%{http_code}", *asked)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    def page(self) -> dict[str, Any]:
        """Return this host's part of the group."""
        found: dict[str, Any] = json.loads(self.get("/groups/big")[1])
        return found

    def ask(self, limit_s: float = 5, **headers: str) -> int:
        """Send a completion to this host's engine; return the code, 0 if none came in time."""
        body = json.dumps({"model": "tiny", "prompt": "1", "max_tokens": 2})
        given = [w for k, v in headers.items() for w in ("-H", f"{k.replace('_', '-')}: {v}")]
        url = f"http://127.0.0.1:{API}/v1/completions"
        words = ["curl", "-s", "-m", str(limit_s), "-o", "/dev/null", "-w", "%{http_code}"]
        words += ["-H", "content-type: application/json", *given, "-d", body, url]
        return int(self.run(*words, timeout_s=limit_s + 10).stdout or 0)

    def begin(self, tokens: int) -> "subprocess.Popen[str]":
        """Send a completion that takes a while; its output is the code."""
        body = json.dumps({"model": "tiny", "prompt": "1", "max_tokens": tokens})
        words = ["ip", "netns", "exec", self.namespace, "curl", "-s", "-m", "60", "-o", "/dev/null"]
        words += ["-w", "%{http_code}", "-H", "content-type: application/json", "-d", body]
        url = f"http://127.0.0.1:{API}/v1/completions"
        return subprocess.Popen([*words, url], stdout=subprocess.PIPE, text=True)

    @contextlib.contextmanager
    def clients(self) -> Iterator[dict[str, int]]:
        """Have clients ask while it is green; in the end there is how many requests were lost."""
        command = ["ip", "netns", "exec", self.namespace, sys.executable, str(ASKING)]
        found: dict[str, int] = {}
        asking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield found
        finally:
            asking.terminate()
            found.update(json.loads(asking.communicate(timeout=60)[0]))

    @property
    def is_red(self) -> bool:
        """Whether a balancer is to send nothing here."""
        return self.get("/ready/big")[0] == 503

    def processes(self, title: str) -> list[int]:
        """Return the processes of this host's engine whose command line has a text in it."""
        found = proc.descendants(self.engine["shim_pid"])
        return [stat.pid for stat in found if title in proc.command_line(stat.pid)]

    def all_processes(self) -> list[int]:
        """Return every process of this host's engine, its shim first."""
        shim_pid = json.loads((self.site.folder / "run/engines/big/run.json").read_text())[
            "shim_pid"
        ]
        return [shim_pid, *(stat.pid for stat in proc.descendants(shim_pid))]

    def kill_process(self, title: str) -> None:
        """Kill these."""
        for pid in self.processes(title):
            os.kill(pid, signal.SIGKILL)


@attrs.frozen
class Hosts:
    """All of them; the first is the head."""

    all: tuple[Host, ...]
    mode: str

    @property
    def head(self) -> Host:
        return self.all[0]

    @property
    def members(self) -> tuple[Host, ...]:
        return self.all[1:]

    def states(self) -> list[str]:
        return [host.state for host in self.all]

    def wait(self, what: str, ask: Callable[[], Any], timeout_s: float = 60) -> None:
        """Wait for that, and say how the hosts stand if it does not come."""
        try:
            wait_for(what, ask, timeout_s)
        except AssertionError:
            stand = {h.address: (h.state, h.engine["problem"]) for h in self.all}
            raise AssertionError(f"never came: {what}; {stand}") from None

    def serve(self, timeout_s: float = 60, *, after: str | None = None) -> None:
        """Wait until all are ready, of another generation than `after`."""

        def ready() -> bool:
            if self.states() != ["ready"] * len(self.all):
                return False
            found = {host.page()["generation"] for host in self.all}
            return len(found) == 1 and after not in found

        self.wait("the group serves", ready, timeout_s)

    @property
    def generation(self) -> str:
        return str(self.head.page()["generation"])


@contextlib.contextmanager
def hosts(
    folder: Path,
    count: int,
    mode: str,
    *,
    more: str = "",
    daemon: str = "",
    env: dict[str, str] | None = None,
    engine: str = ENGINE,
    web: bool = False,
) -> Iterator[Hosts]:
    """Make hosts and start a vllmd on each; all of it is gone in the end.

    With `web` their pages have TLS and passwords.
    """
    needs("ip")
    needs("curl")
    if os.geteuid() != 0:
        skip_or_fail("network namespaces need root")
    number = next(_numbers)
    name = f"vg{os.getpid() % 100_000}x{number}"
    made: list[str] = []
    try:
        _ip("netns", "add", f"{name}b")
        made.append(f"{name}b")
        _ip("-n", f"{name}b", "link", "add", "br0", "type", "bridge")
        _ip("-n", f"{name}b", "link", "set", "br0", "up")
        addresses = [f"10.81.0.{10 + rank}" for rank in range(count)]
        found = []
        for rank, address in enumerate(addresses):
            space, link = f"{name}h{rank}", f"v{rank}"
            _ip("netns", "add", space)
            made.append(space)
            pair = ("type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", f"{name}b", "link", "add", link, *pair)
            _ip("-n", f"{name}b", "link", "set", link, "master", "br0", "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", space, "link", "set", device, "up")
            own = folder / f"h{rank}"
            own.mkdir()
            text = FIXED.format(folder=own, exporter=EXPORTER) + daemon
            if web:
                (own / "password").write_text(PASSWORD)
                path = write_web(own / "web", WEB)
                text += f'web_config_file = "{path}"\n{FLEET.format(folder=own)}'
            listed = ", ".join(f'"{each}"' for each in addresses)
            text += engine.format(hosts=listed, mode=mode, more=more, rank=rank)
            site = Site(own, text, exporter_port=EXPORTER, api_port=API)
            site.under = ("ip", "netns", "exec", space)
            site.env = dict(env or {})
            found.append(Host(rank, space, link, f"{name}b", address, site, web))
        with contextlib.ExitStack() as stack:
            for host in found:
                stack.enter_context(running(host.site))
            yield Hosts(tuple(found), mode)
    finally:
        for space in made:
            with contextlib.suppress(RuntimeError):
                _ip("netns", "del", space)
