"""Several hosts on one machine: a vllmd on each of 127.0.0.2, 127.0.0.3 …, with the same ports."""

import contextlib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import httpx

from tests.helpers.ports import free_port
from tests.helpers.servers import running as server
from tests.helpers.site import VLLMD, Site, running

CONFIG = """
[daemon]
listen = "{host}:{exporter}"
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"
poll_s = 0.5

{fleet}

{engines}
"""
ENGINE = """
[engines.{name}]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
host = "{host}"
port = {api}
max_num_seqs = 256
unready_s = 3
drain_s = 30
stop_grace_s = 5
restart = {{ initial_s = 0.2, max_s = 1 }}
"""
ASKS_A_HOST = """\
#!/bin/sh
host=$1; shift
if [ -e "{folder}/$host/no-ssh" ]; then
  echo "ssh: connect to host $host: No route to host"
  exit 255
fi
exec {vllmd} "$@" --socket "{folder}/$host/run/control.sock"
"""
"""In place of `ssh HOST vllmd`."""


@attrs.frozen
class Replicas:
    """The hosts, by their addresses, and the ports that they have in common."""

    folder: Path
    sites: dict[str, Site]
    exporter: int
    apis: tuple[int, ...]

    @property
    def config(self) -> Path:
        """The configuration of the first host."""
        return next(iter(self.sites.values())).config


@contextlib.contextmanager
def replicas(
    folder: Path,
    *,
    count: int = 2,
    names: Sequence[str] = ("chat",),
    fleet: str = "",
    **env: str,
) -> Iterator[Replicas]:
    """Run `count` hosts whose engines `names` all serve `tiny`, until all of them serve."""
    exporter, apis = free_port(), tuple(free_port() for _ in names)
    hosts = [f"127.0.0.{number}" for number in range(2, 2 + count)]
    program = folder / "at-host"
    program.write_text(ASKS_A_HOST.format(folder=folder, vllmd=VLLMD))
    program.chmod(0o755)
    listed = ", ".join(f'"{host}:{exporter}"' for host in hosts)
    table = f'[fleet]\nname = "test"\nhosts = [{listed}]\ncommand = ["{program}", "{{host}}"]\n'
    sites = {}
    with contextlib.ExitStack() as stack:
        for host in hosts:
            own = folder / host
            own.mkdir()
            engines = "".join(
                ENGINE.format(name=name, host=host, api=api)
                for name, api in zip(names, apis, strict=True)
            )
            text = CONFIG.format(
                host=host, exporter=exporter, folder=own, fleet=table + fleet, engines=engines
            )
            made = Site(own, text, exporter_port=exporter, api_port=apis[0])
            made.exporter, made.api = f"http://{host}:{exporter}", f"http://{host}:{apis[0]}"
            made.env = env
            stack.enter_context(running(made))
            sites[host] = made
        for made in sites.values():
            for name in names:
                made.wait_state(name, "ready", 60)
        yield Replicas(folder, sites, exporter, apis)


def fleet(made: Replicas, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(VLLMD), "fleet", *words, "-c", str(made.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/v1/models", trust_env=False).status_code == 200
    return False


@contextlib.contextmanager
def haproxy(made: Replicas) -> Iterator[str]:
    port = free_port()
    path = made.folder / "haproxy.cfg"
    path.write_text(fleet(made, "export", "haproxy", "--port", str(port)).stdout)
    url = f"http://127.0.0.1:{port}"
    log = made.folder / "haproxy.log"
    subprocess.run(["haproxy", "-c", "-f", str(path)], check=True, capture_output=True)
    with server("haproxy", "-db", "-f", str(path), log=log, up=lambda: answers(url)):
        yield url


class Clients:
    """Many clients of one address, each asking for one stream after the other."""

    def __init__(self, url: str, *, count: int = 8, tokens: int = 60) -> None:
        self.url = url
        self.outcomes: Counter[str] = Counter()
        self._tokens = tokens
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    @property
    def failed(self) -> dict[str, int]:
        """What did not end as it should, and how often."""
        return {said: count for said, count in self.outcomes.items() if said != "answered"}

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return self.outcomes.total()

    def __enter__(self) -> "Clients":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for each in self._threads:
            each.join(60)

    def _ask(self) -> None:
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not self._ended.is_set():
                said = self._one(client)
                with self._lock:
                    self.outcomes[said] += 1
                if said != "answered":
                    time.sleep(0.2)

    def _one(self, client: httpx.Client) -> str:
        body = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "hello there"}],
            "max_tokens": self._tokens,
            "stream": True,
        }
        try:
            response = client.post(f"{self.url}/v1/chat/completions", json=body)
        except httpx.HTTPError as error:
            return type(error).__name__
        if response.status_code != 200:
            return f"{response.status_code}: {response.text[:80]}"
        return "answered" if "[DONE]" in response.text else "broken off"
