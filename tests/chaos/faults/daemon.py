"""What happens to the daemon: it ends, stands still, has no descriptors, is told nonsense."""

import http.client
import resource
import shutil
import signal
import time
from abc import abstractmethod
from pathlib import Path

from tests.chaos.faults.base import Fault, SignalFault, signal_fault
from tests.chaos.lab import Lab, same


def port_of(lab: Lab) -> int:
    """Return the exporter's port."""
    return int(lab.site.exporter.rpartition(":")[2])


def healthy(lab: Lab, timeout_s: float) -> bool:
    """Tell whether the exporter answers in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(lab), timeout=timeout_s)
    try:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Ended(SignalFault):
    """The daemon ends, and another is started half a second later."""

    which = "daemon"
    of_daemon = blinds = True

    def seen(self, lab: Lab) -> str:
        lab.site.daemon.poll()  # else it stays in /proc, as a zombie
        return super().seen(lab)

    def undo(self, lab: Lab) -> None:
        lab.site.daemon.wait(30)
        time.sleep(0.5)
        lab.start_daemon()


class Killed(Ended):
    name = "kill -9 of the daemon"
    number = signal.SIGKILL


class HandedOver(Ended):
    """A daemon that leaves its engines, as under systemd: an upgrade."""

    name = "SIGTERM to the daemon, and another one (an upgrade)"
    number = signal.SIGTERM


class NoDescriptors(Fault):
    """The daemon may open nothing for 2 s; seen by a client that gets no answer."""

    name = "the daemon has no file descriptors for 2 s"
    holds_s = 2.0
    of_daemon = blinds = True

    def prepare(self, lab: Lab) -> None:
        self.pid = lab.site.daemon.pid
        self.limits = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)

    def do(self, lab: Lab) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (3, self.limits[1]))

    def seen(self, lab: Lab) -> str:
        return "" if healthy(lab, 0.7) else "GET /-/healthy: no answer within 0.7 s"

    def undo(self, lab: Lab) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.limits)


class SocketRemoved(Fault):
    name = "the control socket is removed"

    def prepare(self, lab: Lab) -> None:
        self.path = lab.folder / "run" / "control.sock"
        self.before = self.path.stat().st_ino

    def do(self, lab: Lab) -> None:
        self.path.unlink()
        self.missing = not self.path.exists()

    def seen(self, lab: Lab) -> str:
        if not self.path.exists():
            return "stat: no such file"
        now = self.path.stat().st_ino
        return "stat: another file is there" if now != self.before else ""


class Reload(Fault):
    """A file that is read at SIGHUP; seen by what the page said of it to somebody else."""

    of = "config"
    METRIC = "vllmd_config_last_reload_successful"

    def prepare(self, lab: Lab) -> None:
        self.good = lab.site.config.read_text()

    @abstractmethod
    def text(self) -> str:
        """Return what is written into the file."""

    def do(self, lab: Lab) -> None:
        lab.site.config.write_text(self.text())
        lab.site.daemon.send_signal(signal.SIGHUP)

    def seen(self, lab: Lab) -> str:
        value = lab.prometheus.value(self.METRIC)
        return f"Prometheus: {self.METRIC} 0" if value == 0 else ""

    def undo(self, lab: Lab) -> None:
        lab.site.config.write_text(self.good)
        lab.site.daemon.send_signal(signal.SIGHUP)


class BrokenFile(Reload):
    name = "reload of a broken file"

    def text(self) -> str:
        return self.good + "\n[engines.chat\n"


class EmptyFile(Reload):
    name = "reload of a file that is binary"

    def text(self) -> str:
        return "\x00\x01 = [" * 3000


class ChangedFile(Reload):
    """A file with another pause: nothing of the engine's command."""

    name = "reload of a changed file"
    METRIC = "vllmd_config_last_reload_success_timestamp_seconds"

    def prepare(self, lab: Lab) -> None:
        super().prepare(lab)
        self.before = lab.prometheus.value(self.METRIC) or 0

    def text(self) -> str:
        return self.good.replace("poll_s = 0.3", "poll_s = 0.4")

    def seen(self, lab: Lab) -> str:
        value = lab.prometheus.value(self.METRIC) or 0
        return f"Prometheus: {self.METRIC} is later" if value > self.before else ""


class FolderRemoved(Fault):
    """The run folder of the engine, or the logs', is removed; seen by stat."""

    folder = "run/engines/chat"

    def prepare(self, lab: Lab) -> None:
        self.path = lab.folder / self.folder
        self.before = self.path.stat().st_ino

    def do(self, lab: Lab) -> None:
        shutil.rmtree(self.path)

    def seen(self, lab: Lab) -> str:
        if not self.path.exists():
            return "stat: no such folder"
        return "stat: another folder" if self.path.stat().st_ino != self.before else ""


class RunFolderRemoved(FolderRemoved):
    name = "its folder in run_dir is removed"


class LogRemoved(Fault):
    name = "its log file is removed"

    def prepare(self, lab: Lab) -> None:
        self.path = lab.folder / "log" / "chat.log"
        self.before = self.path.stat().st_ino

    def do(self, lab: Lab) -> None:
        self.path.unlink()

    def seen(self, lab: Lab) -> str:
        if not self.path.exists():
            return "stat: no such file"
        return "stat: another file" if self.path.stat().st_ino != self.before else ""


class Damaged(Ended):
    """A file is garbage when the next daemon reads it; seen by its content and /proc."""

    number = signal.SIGKILL
    file = ""
    GARBAGE = b'{"v": 1, "nested": ' + b"[" * 50_000

    def prepare(self, lab: Lab) -> None:
        super().prepare(lab)
        self.path = Path(lab.folder / self.file)

    def do(self, lab: Lab) -> None:
        super().do(lab)
        lab.site.daemon.wait(30)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self.GARBAGE)

    def seen(self, lab: Lab) -> str:
        gone = not same(self.target)
        garbage = self.path.exists() and self.path.read_bytes() == self.GARBAGE
        return f"{self.file} is garbage, the daemon is gone" if gone and garbage else ""


def damaged(what: str, file: str, of: str = "") -> type[Damaged]:
    name = f"kill -9 of the daemon, {what} is garbage"
    return type(name, (Damaged,), {"name": name, "file": file, "of": of})


FAULTS: tuple[type[Fault], ...] = (
    Killed,
    HandedOver,
    signal_fault(
        "SIGSTOP of the daemon for 3 s (no CPU)",
        "daemon",
        signal.SIGSTOP,
        holds_s=3.0,
        of_daemon=True,
        blinds=True,
    ),
    NoDescriptors,
    SocketRemoved,
    BrokenFile,
    EmptyFile,
    ChangedFile,
    RunFolderRemoved,
    LogRemoved,
    damaged("the engine's state file", "state/engines/chat.json"),
    damaged("its record of the run", "run/engines/chat/state.json"),
    damaged("the GPUs' state file", "state/gpus.json"),
    damaged("the history", "state/vllmd.db", of="history"),
)
