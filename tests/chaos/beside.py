"""The same faults, done to the same engine under what one would run instead: supervisord.

`python -m tests.chaos.beside SUPERVISORD`; what systemd alone does is in tests/packaging, where
there is a systemd.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import attrs

from tests.chaos.client import OK, Client, failed
from tests.chaos.faults import BY_NAME
from tests.chaos.faults.base import SEEN_S, Fault
from tests.chaos.lab import CHAT, LOAD_S, PROGRAM, Lab, same
from tests.helpers.ports import free_port
from tests.helpers.site import FAST, wait_for
from vllmd.shim import proc

OUT = Path(__file__).parents[2] / "build" / "outcomes" / "chaos-beside.json"
FAULTS = (
    "kill -9 of the API server",
    "SIGTERM to the API server",
    "SIGSTOP of the API server",
    "kill -9 of the EngineCore",
    "SIGTERM to the EngineCore",
    "SIGSEGV in the EngineCore",
    "SIGSTOP of the EngineCore",
    "OOM kill of the API server",
    "its page does not answer for 2 s",
    "the model's folder is away for 2 s",
    "kill -9 of the daemon",
    "SIGTERM to the daemon, and another one (an upgrade)",
    "SIGSTOP of the daemon for 3 s (no CPU)",
)
LIMIT_S = 30.0
CONFIG = """
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


class Beside:
    """An engine under supervisord; what faults need of a `Lab`."""

    def __init__(self, folder: Path, supervisord: str) -> None:
        self.folder, self.port = folder, free_port()
        self._command = [supervisord, "-n", "-c", str(folder / "supervisord.conf")]
        program = (
            f"{sys.executable} {PROGRAM} {folder} serve {folder}/model-{CHAT} --port {self.port} "
            f"--served-model-name {CHAT}"
        )
        (folder / f"model-{CHAT}").mkdir()
        (folder / "supervisord.conf").write_text(CONFIG.format(folder=folder, program=program))
        self.say("load_s", LOAD_S)
        self.chat = Client(self.port, CHAT)
        self.site = self
        self.daemon: subprocess.Popen[bytes]

    def say(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def unsay(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def start_daemon(self) -> None:
        with (self.folder / "out").open("ab") as out:
            self.daemon = subprocess.Popen(
                self._command, env={**os.environ, **FAST}, stdout=out, stderr=out
            )

    def tree(self) -> list[proc.Stat]:
        return proc.descendants(self.daemon.pid)

    def process(self, which: str) -> proc.Stat | None:
        if which == "daemon":
            return proc.read_stat(self.daemon.pid)
        title = "VLLM::EngineCore" if which == "core" else "serve"
        return next((t for t in self.tree() if title in proc.command_line(t.pid)), None)

    def serves(self) -> bool:
        return self.chat.ask(2).what == OK


@contextmanager
def running(folder: Path, supervisord: str) -> Iterator[Beside]:
    """Run it until its engine serves; at the end nothing of it is left."""
    made = Beside(folder, supervisord)
    seen: list[proc.Stat] = []
    made.start_daemon()
    try:
        wait_for("an answer", made.serves, 60)
        seen += made.tree()
        made.chat.start()
        yield made
    finally:
        made.chat.close()
        seen += made.tree()
        made.daemon.kill()
        made.daemon.wait()
        left = [s for s in proc.all_processes() if str(folder) in proc.command_line(s.pid)]
        for stat in [*seen, *left]:
            if same(stat):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stat.pid, signal.SIGKILL)


@attrs.define
class Row:
    """What became of one fault; `serves_after_s` is None if it did not within `LIMIT_S`."""

    fault: str
    landed: str
    lost: dict[str, int]
    serves_after_s: float | None
    left: int
    """Old processes that live and hang, or that nobody looks after any more."""


def make(beside: Beside, name: str) -> Row:
    """Do a fault to an engine that serves, and see when it serves again."""
    lab, fault = cast("Lab", beside), BY_NAME[name]()
    fault.prepare(lab)
    before, at = beside.tree(), time.monotonic()
    fault.do(lab)
    landed = wait_for("the fault", lambda: fault.seen(lab), SEEN_S)
    time.sleep(fault.holds_s)
    fault.undo(lab)
    after = _serves_again(beside, at)
    lost = dict(failed(beside.chat.since(at)))
    old = [stat for stat in before if same(stat)]
    now = {stat.pid for stat in beside.tree()}
    hangs = "ready" in fault.ends_run and after is None
    left = old if hangs else [stat for stat in old if stat.pid not in now]
    return Row(name, landed, lost, after, len(left))


def _serves_again(beside: Beside, at: float) -> float | None:
    """Return after how long it served for three seconds without a failure."""
    while time.monotonic() < at + LIMIT_S:
        time.sleep(0.2)
        bad = [e.ended for e in beside.chat.since(at) if e.what != OK]
        good = [
            e.ended for e in beside.chat.since(at) if e.what == OK and e.ended > max([at, *bad])
        ]
        if good and good[-1] - good[0] > 3:
            return round(good[0] - at, 1) if bad else 0.0
    return None


def possible(name: str) -> bool:
    fault: type[Fault] = BY_NAME[name]
    return not fault.impossible()


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.chaos.beside", description=__doc__)
    ask.add_argument("supervisord")
    ask.add_argument("--out", type=Path, default=OUT)
    given = ask.parse_args()
    rows = []
    for name in filter(possible, FAULTS):
        with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True) as at:
            with running(Path(at), given.supervisord) as beside:
                rows.append(make(beside, name))
            print(rows[-1], flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(attrs.asdict(row), ensure_ascii=False) for row in rows]
    given.out.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
