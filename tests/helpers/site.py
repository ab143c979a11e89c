"""A whole vllmd beside its engines, as processes: what an operator would have on a host."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.background import Background
from tests.helpers.ports import free_port
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError
from vllmd.shim import proc

if TYPE_CHECKING:
    import openai

T = TypeVar("T")
BESIDE = Path(sys.executable).with_name("vllmd")
VLLMD = BESIDE if BESIDE.exists() else Path(shutil.which("vllmd") or BESIDE)
"""Of the virtual environment; where there is none (tools/gpu_kit.py), that of the path."""
WITH_OUR_TOOLS = f"{VLLMD.parent}:{os.environ.get('PATH', os.defpath)}"
"""Where py-spy is found, as on a host where it was installed."""
DAEMON = """
[daemon]
listen = "127.0.0.1:{exporter}"
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"
"""
"""The first table of every configuration here."""

HANDED_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="exporter")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts a program with a listening socket, as systemd does."""
FAST = {
    "VLLMD_STAND_IN_LOAD_S": "0.3",
    "VLLMD_STAND_IN_STEP_S": "0.005",
    "VLLMD_STAND_IN_DEATH_S": "0.3",
}


def needs(program: str) -> None:
    """Skip a test whose program is not installed, and say so; in CI that is a failure."""
    if shutil.which(program) is None:
        skip_or_fail(f"{program} is not installed (see tools/system.sh)")


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test that this machine cannot run, and say why; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def wait_for(what: str, ask: Callable[[], T | None], timeout_s: float = 60.0) -> T:
    """Ask until the answer is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"never came: {what}")


class Site:
    """Folders, a configuration file, a daemon that can be killed, and eyes on all of it."""

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        exporter_port: int,
        api_port: int,
        otlp_port: int | None = None,
    ) -> None:
        """Make a site; with an `otlp_port`, `config` says itself where spans are received."""
        self.folder = folder
        self.config = folder / "vllmd.toml"
        self.otlp = f"http://127.0.0.1:{otlp_port}" if otlp_port else ""
        if otlp_port is None:  # the usual ports may belong to another test, or to the host
            otlp_port = free_port()
            self.otlp = f"http://127.0.0.1:{otlp_port}"
            table = f'[traces]\nlisten_http = "127.0.0.1:{otlp_port}"\nlisten_grpc = ""\n\n'
            head, first, engines = config.partition("[engines.")
            config = f"{head}\n{table}{first}{engines}"
        self.config.write_text(config)
        self.exporter = f"http://127.0.0.1:{exporter_port}"
        self.api = f"http://127.0.0.1:{api_port}"
        self.control = ControlClient(folder / "run" / "control.sock")
        self.daemon: subprocess.Popen[bytes]
        self.env: dict[str, str] = {}
        self.held: socket.socket | None = None
        """The exporter's socket, where a service manager holds it."""
        self.under: tuple[str, ...] = ()
        """A program that runs the daemon, such as `prlimit --nofile=1024`."""

    # --- the daemon ---------------------------------------------------------------------------

    def start(self, **env: str) -> None:
        command = [*self.under, str(VLLMD), "run", "--config", str(self.config)]
        held = [] if self.held is None else [self.held.fileno()]
        if held:
            command = [sys.executable, "-c", HANDED_OVER, str(held[0]), *command, "--service"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                command,
                env={**os.environ, **FAST, "PATH": WITH_OUR_TOOLS, **self.env, **env},
                stderr=log,
                start_new_session=True,
                pass_fds=held,
            )
        wait_for("the control socket", self._status)

    def _status(self) -> dict[str, Any] | None:
        assert self.daemon.poll() is None, (self.folder / "daemon.log").read_text()[-3000:]
        with contextlib.suppress(DaemonUnreachableError):
            return self.control.status()
        return None

    def kill_daemon(self) -> None:
        self.daemon.kill()
        self.daemon.wait()

    def stop(self, number: int = signal.SIGINT) -> int:
        """End the daemon as Ctrl-C does; returns its exit code."""
        self.daemon.send_signal(number)
        return self.daemon.wait(60)

    def vllmd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "VLLMD_SOCKET": str(self.folder / "run" / "control.sock")}
        return subprocess.run(
            [str(VLLMD), *arguments], env=env, capture_output=True, text=True, check=False
        )

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    # --- the engine ---------------------------------------------------------------------------

    def engine(self, name: str) -> dict[str, Any]:
        return self.control.engine(name)

    def wait_state(self, name: str, state: str, timeout_s: float = 30.0) -> dict[str, Any]:
        def ask() -> dict[str, Any] | None:
            with contextlib.suppress(DaemonUnreachableError):  # away for a moment in a reload
                engine = self.engine(name)
                return engine if engine["state"] == state else None
            return None

        return wait_for(f"{name} {state}", ask, timeout_s)

    def wait_new_run(self, name: str, old: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Wait until another run than `old` serves."""

        def ask() -> dict[str, Any] | None:
            with contextlib.suppress(DaemonUnreachableError):  # it may be held up by a test
                engine = self.engine(name)
                return engine if is_back(engine, old) else None
            return None

        return wait_for(f"a new run of {name}", ask, timeout_s)

    def tree(self, name: str) -> dict[str, proc.Stat]:
        """Return the engine's processes by title."""
        shim_pid = self.engine(name)["shim_pid"]
        return {proc.command_line(s.pid): s for s in proc.descendants(shim_pid)}

    def process(self, name: str, title: str) -> proc.Stat:
        """Return the process whose title begins so."""
        (found,) = [s for t, s in self.tree(name).items() if t.startswith(title)]
        return found

    def client(self) -> "openai.OpenAI":
        import openai  # a second for each worker of the unit tests, which need no client

        return openai.OpenAI(base_url=f"{self.api}/v1", api_key="none", max_retries=0, timeout=60)

    def chat(
        self,
        model: str,
        text: str = "hello",
        tokens: int = 8,
        headers: dict[str, str] | None = None,
    ) -> str:
        answer = self.client().chat.completions.create(
            model=model,
            max_tokens=tokens,
            messages=[{"role": "user", "content": text}],
            extra_headers=headers,
        )
        return answer.choices[0].message.content or ""

    # --- the page -----------------------------------------------------------------------------

    def metrics(self, accept: str = "") -> str:
        response = httpx.get(
            f"{self.exporter}/metrics", headers={"accept": accept}, trust_env=False
        )
        response.raise_for_status()
        return response.text

    def samples(self, name: str, accept: str = "") -> dict[tuple[str, ...], float]:
        """Return the samples of that name by the values of their labels, in the labels' order."""
        found = {}
        for family in text_string_to_metric_families(self.metrics(accept)):
            for sample in family.samples:
                if sample.name == name:
                    values = tuple(sample.labels[label] for label in sorted(sample.labels))
                    found[values] = sample.value
        return found

    def ready(self, name: str) -> int:
        return httpx.get(f"{self.exporter}/ready/{name}", trust_env=False).status_code


class Load(Background):
    """Chat requests one after the other, in the background, counted."""

    def __init__(self, made: Site, *, clients: int = 1, tokens: int = 20) -> None:
        self.served = 0
        self.failed: list[Exception] = []
        self._site = made
        self._tokens = tokens
        super().__init__([self._ask] * clients)

    def _ask(self) -> None:
        import openai

        try:
            self._site.chat("tiny", tokens=self._tokens)
            self.served += 1
        except openai.OpenAIError as error:
            self.failed.append(error)


def is_back(engine: dict[str, Any], before: dict[str, Any]) -> bool:
    """Tell whether an engine that was hurt serves again: by another run, and not by none.

    A run that has ended is gone from the status while its end is explained.
    """
    return engine.get("state") == "ready" and engine.get("run_id") not in (None, before["run_id"])


def gone(*stats: proc.Stat) -> bool:
    """Tell whether none of the processes lives."""
    for stat in stats:
        now = proc.read_stat(stat.pid)
        if now is not None and now.start_ticks == stat.start_ticks and not now.is_zombie:
            return False
    return True


@contextlib.contextmanager
def site(
    folder: Path, config: str, *, exporter_port: int, api_port: int, **env: str
) -> Iterator[Site]:
    """Make a site and run it."""
    made = Site(folder, config, exporter_port=exporter_port, api_port=api_port)
    made.env = env
    with running(made):
        yield made


@contextlib.contextmanager
def running(made: Site) -> Iterator[None]:
    """Run a site; at the end nothing of it is left, whatever the test did."""
    made.start()
    try:
        yield
    finally:
        if made.daemon.poll() is None:
            made.stop()
        sweep(made.folder)


def sweep(folder: Path) -> None:
    """Kill shims and engines that a failed test left below `folder`, by their records."""
    for record in (*folder.glob("run/engines/*/run.json"), *folder.glob("run/weights/*/run.json")):
        run = httpx.Response(200, content=record.read_bytes()).json()
        for stat in [*proc.session_members(run["engine_pid"]), *_alive(run["shim_pid"])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)


def _alive(pid: int) -> list[proc.Stat]:
    stat = proc.read_stat(pid)
    return [stat] if stat and "vllmd/shim" in proc.command_line(pid) else []
