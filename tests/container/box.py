"""A container of the image that runs: its first process, what is in it, and how it is asked."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from tests.container.image import Image
from tests.helpers.site import wait_for
from vllmd.shim import proc
from vllmd.util.units import GIB

HERE = Path(__file__).parent
MEMORY = Path("/sys/fs/cgroup/memory")
CHAT = "VLLMD__ENGINES__CHAT__"
ASK = """
import json, sys, urllib.request
body = {"model": "tiny", "prompt": "x", "max_tokens": int(sys.argv[1]), "ignore_eos": True}
request = urllib.request.Request(
    "http://127.0.0.1:8000/v1/completions", json.dumps(body).encode(),
    {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=float(sys.argv[2])) as answer:
    print(answer.status, json.load(answer)["usage"]["completion_tokens"])
"""
NO_VOLUMES: Mapping[str, Path] = MappingProxyType({})
STAND_IN = {
    f"{CHAT}MODEL": "tiny",
    f"{CHAT}EXECUTABLE": "stand-in",
    f"{CHAT}UNREADY_S": "0",
    f"{CHAT}DRAIN_S": "20",
    f"{CHAT}RESTART__INITIAL_S": "0.1",
    "VLLMD__DAEMON__POLL_S": "0.2",
}


@attrs.frozen
class Box:
    """A container; its processes have the ids of this host here, and their own within."""

    image: Image
    folder: Path
    process: "subprocess.Popen[bytes]"
    env: Mapping[str, str]

    @property
    def first(self) -> int:
        """The id of PID 1, as this host has it."""
        return int((self.folder / "pid").read_text())

    @property
    def said(self) -> str:
        """What the container has printed."""
        return (self.folder / "said").read_text(errors="replace")

    def run(self, *words: str, code: int | None = 0) -> str:
        """Run a program in it, as `podman exec` does; return what it printed."""
        user, _, group = self.image.user.partition(":")
        enter = ["nsenter", "-t", str(self.first), "-a", "setpriv", "--reuid", user]
        enter += ["--regid", group, "--clear-groups"]
        done = subprocess.run(
            [*enter, *words], env=dict(self.env), capture_output=True, text=True, check=False
        )
        assert code in (None, done.returncode), (words, done.stdout, done.stderr, self.said[-3000:])
        return done.stdout

    def get(self, path: str, port: int = 9840) -> tuple[int, str]:
        """Ask its exporter, as the kubelet does from outside its processes."""
        url = f"http://127.0.0.1:{port}{path}"
        words = ["curl", "-s", "-m", "10", "-w", "\n%{http_code}", url]
        enter = ["nsenter", "-t", str(self.first), "-n", *words]
        done = subprocess.run(enter, capture_output=True, text=True, check=False)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    def state(self) -> str | None:
        """Return the engine's state, as everybody is told."""
        code, text = self.get("/status.json")
        return str(json.loads(text)["engines"][0]["state"]) if code == 200 else None

    def engine(self) -> dict[str, Any]:
        """Return all that the daemon knows of the engine."""
        found: dict[str, Any] = json.loads(self.run("vllmd", "status", "--json"))["engines"][0]
        return found

    def running(self) -> float:
        """Return how many requests the engine works on, by its page."""
        lines = self.get("/metrics", 8000)[1].splitlines()
        found = [line.split()[-1] for line in lines if line.startswith("vllm:num_requests_running")]
        return float(found[0]) if found else 0.0

    def wait_ready(self, other_than: str | None = None, limit_s: float = 120) -> dict[str, Any]:
        """Wait until the engine serves, by another run if one is given."""

        def ask() -> dict[str, Any] | None:
            assert self.process.poll() is None, self.said[-3000:]
            state = self.state()
            assert state != "held", self.said[-3000:]
            if state != "ready":
                return None
            found = self.engine()
            return found if found["up"] and found["run_id"] != other_than else None

        return wait_for("a ready engine", ask, limit_s)

    def processes(self) -> dict[str, proc.Stat]:
        """Return its processes by their command lines, those of zombies by their names."""
        space = os.readlink(f"/proc/{self.first}/ns/pid")
        found = {}
        for each in proc.all_processes():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{each.pid}/ns/pid") == space:
                    found[proc.command_line(each.pid) or f"{each.name} {each.pid}"] = each
        return found

    def find(self, word: str) -> proc.Stat:
        """Return the process whose command line has a word."""
        (found,) = [stat for line, stat in self.processes().items() if word in line]
        return found

    def zombies(self) -> list[str]:
        """Return its processes that have ended, and that nobody has waited for."""
        return [line for line, stat in self.processes().items() if stat.is_zombie]

    def ask(self, tokens: int = 5, limit_s: float = 60) -> str:
        """Let a program in it ask for so many tokens; return the code, and how many came."""
        return self.run("python3", "-c", ASK, str(tokens), str(limit_s)).strip()

    def signal(self, number: signal.Signals) -> None:
        """Send PID 1 a signal, as a runtime does."""
        os.kill(self.first, number)

    def stop(self) -> int:
        """End it with the image's signal; return the exit code."""
        self.signal(signal.Signals[self.image.stop_signal])
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        return self.process.wait(60)


@contextlib.contextmanager
def container(
    image: Image,
    folder: Path,
    env: Mapping[str, str] = STAND_IN,
    *,
    memory: int = GIB,
    volumes: Mapping[str, Path] = NO_VOLUMES,
    shm: str = "64m",
    output: int | None = None,
) -> Iterator[Box]:
    """Run the image's command, and end it after; `volumes` are below /srv by their names.

    `output` is a descriptor that it prints to, in place of a file (`Box.said`).
    """
    for name in ("state", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(0o775)
    lines = [f"{path} {name}\n" for name, path in volumes.items()]
    (folder / "shm").write_text(shm)
    (folder / "volumes").write_text("".join(lines))
    group = f"vllmd-container-{os.getpid()}"
    (MEMORY / group).mkdir(exist_ok=True)
    (MEMORY / group / "memory.limit_in_bytes").write_text(str(memory))
    (folder / "pid").unlink(missing_ok=True)
    given = {**image.env, **env}
    pairs = [f"{name}={value}" for name, value in given.items()]
    command = [str(HERE / "run.sh"), str(image.root), str(folder), group, image.user, *pairs, "--"]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command, *image.command],
            stdout=said if output is None else output,
            stderr=said if output is None else output,
            start_new_session=True,
        )
    box = Box(image, folder, process, given)
    try:
        wait_for("PID 1", lambda: (folder / "pid").exists() and (folder / "pid").read_text())
        yield box
    finally:
        if process.poll() is None:
            os.kill(box.first, signal.SIGKILL)
        process.wait()
        wait_for("an empty group", lambda: not (MEMORY / group / "cgroup.procs").read_text())
        (MEMORY / group).rmdir()
