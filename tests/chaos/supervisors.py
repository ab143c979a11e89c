"""What one would run instead of vllmd, as a host for faults: supervisord, a unit of systemd."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.chaos.client import OK, Client
from tests.chaos.faults import BY_NAME
from tests.chaos.faults.base import Fault
from tests.chaos.faults.daemon import HandedOver, Killed
from tests.chaos.lab import CHAT, LOAD_S, PROGRAM, Lab, same
from tests.helpers.ports import free_port
from tests.helpers.site import FAST, wait_for
from vllmd.shim import proc

UNITS = Path("/run/systemd/system")
SUPERVISORD_CONF = """
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}

[program:chat]
command={program}
autorestart=true
startretries=100
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={folder}/chat.log
stdout_logfile_maxbytes=4MB
"""
CLASSIC = """
Restart=on-failure
RestartSec=1
StandardOutput=append:{folder}/chat.log
StandardError=inherit
"""
STANZA = "{folder}/chat.log {{\n  rotate 3\n  copytruncate\n}}\n"
ROTATES = """
[Service]
Type=oneshot
ExecStart=/usr/sbin/logrotate --force --state {folder}/logrotate.state {folder}/logrotate.conf
"""
TIMER = "[Timer]\nOnActiveSec=2s\nOnUnitActiveSec=2s\nAccuracySec=100ms\n"


class Beside(ABC):
    """An engine that something else than vllmd looks after; what faults need of a `Lab`."""

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.program = (
            f"{sys.executable} {PROGRAM} {folder} serve {folder}/model-{CHAT} --port {self.port} "
            f"--served-model-name {CHAT}"
        )
        (folder / f"model-{CHAT}").mkdir()
        self.say("load_s", LOAD_S)
        self.chat = Client(self.port, CHAT)
        self.site = self

    def say(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def unsay(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    @abstractmethod
    def start_daemon(self) -> None:
        """Have the engine started by what looks after it."""

    @abstractmethod
    def end(self) -> None:
        """Have nobody look after the engine any more."""

    @abstractmethod
    def daemon_pid(self) -> int:
        """Return the process that looks after the engine."""

    @abstractmethod
    def tree(self) -> list[proc.Stat]:
        """Return the processes of the engine that are looked after."""

    def fault(self, name: str) -> Fault | None:
        """Return a fault to be made; nothing if there is no such thing here."""
        fault = BY_NAME[name]
        return None if fault.impossible() else fault()

    def check(self) -> None:  # noqa: B027 - most have nothing beside the engine
        """Look whether all of it ran. Raises: AssertionError."""

    def process(self, which: str) -> proc.Stat | None:
        if which == "daemon":
            return proc.read_stat(self.daemon_pid())
        title = "VLLM::EngineCore" if which == "core" else "serve"
        return next((t for t in self.tree() if title in proc.command_line(t.pid)), None)

    def serves(self) -> bool:
        return self.chat.ask(2).what == OK


class Supervisord(Beside):
    """A program of supervisord; `path` is where that is."""

    name = "supervisord"
    path: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        conf = SUPERVISORD_CONF.format(folder=folder, program=self.program)
        (folder / "supervisord.conf").write_text(conf)
        self._command = [self.path, "-n", "-c", str(folder / "supervisord.conf")]
        self.daemon: subprocess.Popen[bytes]

    def start_daemon(self) -> None:
        with (self.folder / "out").open("ab") as out:
            self.daemon = subprocess.Popen(
                self._command, env={**os.environ, **FAST}, stdout=out, stderr=out
            )

    def end(self) -> None:
        self.daemon.kill()
        self.daemon.wait()

    def daemon_pid(self) -> int:
        return self.daemon.pid

    def tree(self) -> list[proc.Stat]:
        return proc.descendants(self.daemon.pid)


class Reexecuted(Fault):
    """SIGTERM to systemd, as an upgrade of it does; seen by the kernel's note of a new program."""

    name = HandedOver.name
    AUXV = Path("/proc/1/auxv")

    def prepare(self, lab: Lab) -> None:
        self.before = self.AUXV.read_bytes()

    def do(self, lab: Lab) -> None:
        os.kill(1, signal.SIGTERM)

    def seen(self, lab: Lab) -> str:
        return "/proc/1/auxv: of another program" if self.AUXV.read_bytes() != self.before else ""


class Unit(Beside):
    """A unit of the systemd that is process 1; cgroup v1."""

    NONE = frozenset({Killed.name, "SIGSTOP of the daemon for 3 s (no CPU)"})
    """The kernel lets nobody do that to process 1."""
    KEYS: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        env = " ".join(f"{key}={value}" for key, value in FAST.items())
        head = f"[Service]\nEnvironment={env}\nExecStart={self.program}\n"
        self.place("chat.service", head + self.KEYS.format(folder=folder))

    def place(self, unit: str, text: str) -> None:
        UNITS.mkdir(exist_ok=True)
        (UNITS / unit).write_text(text)

    def start_daemon(self) -> None:
        systemctl("daemon-reload")
        systemctl("start", "chat")

    def end(self) -> None:
        for stat in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)
        systemctl("stop", "chat")
        subprocess.run(["systemctl", "reset-failed"], check=True)

    def daemon_pid(self) -> int:
        return 1

    def tree(self) -> list[proc.Stat]:
        group = Path("/sys/fs/cgroup/systemd/system.slice/chat.service/cgroup.procs")
        try:
            found = [proc.read_stat(int(pid)) for pid in group.read_text().split()]
        except OSError:  # there is none while nothing runs
            return []
        return [stat for stat in found if stat]

    def fault(self, name: str) -> Fault | None:
        if name in self.NONE:
            return None
        return Reexecuted() if name == Reexecuted.name else super().fault(name)


class Classic(Unit):
    """As blog posts have it, with logrotate: here every two seconds."""

    name = "systemd, on-failure"
    KEYS = CLASSIC

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "logrotate.conf").write_text(STANZA.format(folder=folder))
        self.place("rotates.service", ROTATES.format(folder=folder))
        self.place("rotates.timer", TIMER)

    def start_daemon(self) -> None:
        super().start_daemon()
        systemctl("start", "rotates.timer")

    def end(self) -> None:
        systemctl("stop", "rotates.timer", "rotates.service")
        super().end()

    def check(self) -> None:
        assert list(self.folder.glob("chat.log.*")), "logrotate did nothing"


class Always(Unit):
    """What systemd restarts whatever its exit code; all else as it is by default."""

    name = "systemd, always"
    KEYS = "Restart=always\n"


SUPERVISORS: Mapping[str, type[Beside]] = {
    each.name: each for each in (Supervisord, Classic, Always)
}


def systemctl(*words: str) -> None:
    """Ask systemd. Raises: subprocess.CalledProcessError."""
    subprocess.run(["systemctl", *words], check=True)


@contextmanager
def running(made: Beside) -> Iterator[Beside]:
    """Run it until its engine serves; at the end nothing of it is left."""
    seen: list[proc.Stat] = []
    made.start_daemon()
    try:
        wait_for("an answer", made.serves, 60)
        seen += made.tree()
        made.chat.start()
        yield made
        made.check()
    finally:
        made.chat.close()
        seen += made.tree()
        made.end()
        at = str(made.folder)
        left = [s for s in proc.all_processes() if at in proc.command_line(s.pid)]
        for stat in [*seen, *left]:
            if same(stat):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stat.pid, signal.SIGKILL)
        time.sleep(0.1)
