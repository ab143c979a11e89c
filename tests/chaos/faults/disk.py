"""What happens to disks, to files, and to the clock."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from tests.chaos import clock
from tests.chaos.faults.base import Fault
from tests.chaos.lab import CHAT, Lab
from tests.helpers.disk import fill


class DiskFull(Fault):
    """One of its file systems has no room for 3 s; seen by a write that fails."""

    of = "disk"
    holds_s = 3.0
    folder: ClassVar[str]

    @classmethod
    def impossible(cls) -> str:
        return "" if os.geteuid() == 0 else "only root can mount a small disk"

    def prepare(self, lab: Lab) -> None:
        self.path = lab.folder / self.folder

    def do(self, lab: Lab) -> None:
        fill(self.path)

    def seen(self, lab: Lab) -> str:
        probe = self.path / "probe"
        try:
            probe.write_bytes(b"x" * 65536)
        except OSError as error:
            return f"write: {errno.errorcode[error.errno or 0]}"
        finally:
            probe.unlink(missing_ok=True)
        return ""

    def undo(self, lab: Lab) -> None:
        (self.path / "filler").unlink(missing_ok=True)


def disk_full(folder: str) -> type[DiskFull]:
    name = f"{folder}_dir is full for 3 s"
    return type(name, (DiskFull,), {"name": name, "folder": folder})


class HistoryLocked(Fault):
    """Another program holds the history's lock for 3 s; seen by a third that is refused."""

    of = "history"
    name = "the history is locked for 3 s"
    holds_s = 3.0

    def prepare(self, lab: Lab) -> None:
        self.path = lab.folder / "state" / "vllmd.db"

    def do(self, lab: Lab) -> None:
        self.holder = sqlite3.connect(self.path, timeout=5, check_same_thread=False)
        self.holder.execute("begin exclusive")

    def seen(self, lab: Lab) -> str:
        other = sqlite3.connect(self.path, timeout=0)
        try:
            other.execute("begin immediate")
            other.rollback()
        except sqlite3.OperationalError as error:
            return f"SQLite: {error}"
        finally:
            other.close()
        return ""

    def undo(self, lab: Lab) -> None:
        self.holder.rollback()
        self.holder.close()


class HistoryRemoved(Fault):
    of = "history"
    name = "the history's file is removed"

    def prepare(self, lab: Lab) -> None:
        self.path = lab.folder / "state" / "vllmd.db"
        self.before = self.path.stat().st_ino if self.path.exists() else 0

    def do(self, lab: Lab) -> None:
        self.path.unlink(missing_ok=True)

    def seen(self, lab: Lab) -> str:
        if not self.path.exists():
            return "stat: no such file"
        return "stat: another file" if self.path.stat().st_ino != self.before else ""


class ModelGone(Fault):
    """The folder of the model is away for 2 s; seen by stat."""

    name = "the model's folder is away for 2 s"
    holds_s = 2.0

    def prepare(self, lab: Lab) -> None:
        self.path: Path = lab.folder / f"model-{CHAT}"
        self.away = lab.folder / "model-away"

    def do(self, lab: Lab) -> None:
        self.path.rename(self.away)

    def seen(self, lab: Lab) -> str:
        return "" if self.path.exists() else "stat: no such folder"

    def undo(self, lab: Lab) -> None:
        shutil.move(self.away, self.path)


class ClockStep(Fault):
    """The daemon's clock jumps, and back after 2 s; seen by another process with that clock."""

    of = "clock"
    holds_s = 2.0
    step_s: ClassVar[int]

    def do(self, lab: Lab) -> None:
        clock.step(lab.folder, self.step_s)

    def seen(self, lab: Lab) -> str:
        ask = [sys.executable, "-ISc", "import time; print(time.time())"]
        env = clock.env(lab.folder)
        said = float(subprocess.run(ask, env=env, capture_output=True, check=True).stdout)
        real = float(subprocess.run(ask, env={}, capture_output=True, check=True).stdout)
        return f"another process: {said - real:+.0f} s" if abs(said - real) > 60 else ""

    def undo(self, lab: Lab) -> None:
        clock.step(lab.folder, 0)


def clock_step(name: str, step_s: int) -> type[ClockStep]:
    return type(name, (ClockStep,), {"name": name, "step_s": step_s})


FAULTS: tuple[type[Fault], ...] = (
    disk_full("state"),
    disk_full("log"),
    disk_full("run"),
    HistoryLocked,
    HistoryRemoved,
    ModelGone,
    clock_step("the clock goes forward by 400 days for 2 s", 400 * 86400),
    clock_step("the clock goes back by an hour for 2 s", -3600),
)
