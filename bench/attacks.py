"""What attacks on the exporter's port and the control socket cost a daemon.

Each row is a whole vllmd of its own beside a stand-in engine, under one attack for some seconds:
how many CPU seconds the daemon used until it had answered each of three questions, and in all, and
the most memory that it had. Takes the program of another version, to compare it.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers import attacks, site
from tests.helpers.attacks import ATTACKS, Address, Watched
from tests.helpers.ports import free_port
from tests.helpers.site import Site, running
from tests.integration.conftest import config_for
from vllmd.errors import VllmdError

HELD_S = 6.0
PATIENCE_S = 15.0
LIMITS = ("prlimit", "--nofile=1024:20000")
"""As systemd starts a unit that says nothing of them: 1,024 files, and more for who asks."""


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        site.VLLMD = Path(sys.argv[1]).absolute()
    attacks.PATIENCE_S = PATIENCE_S
    attacks.may_open(6000)
    print("| attack | on | healthy | metrics | status | CPU s | MB | files | after |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for port in ("exporter", "control"):
        for name in ATTACKS:
            print(f"| {name} | {port} | {' | '.join(_try(name, port))} |", flush=True)


def _try(name: str, port: str) -> list[str]:
    folder = Path(tempfile.mkdtemp(prefix="vllmd-", dir="/tmp"))
    folder.chmod(0o755)
    exporter, api = free_port(), free_port()
    made = Site(folder, config_for(folder, exporter, api), exporter_port=exporter, api_port=api)
    made.under = LIMITS
    with running(made):
        made.wait_state("chat", "ready")
        return _under_attack(made, name, port)


def _under_attack(made: Site, name: str, port: str) -> list[str]:
    watched = Watched(made)
    before = watched.cost().cpu_s
    on: Address = ("127.0.0.1", int(made.exporter.rpartition(":")[2]))
    if port == "control":
        on = str(made.folder / "run" / "control.sock")
    path = b"/metrics" if port == "exporter" else b"/v1/status"

    def attack(until: threading.Event) -> None:
        with ATTACKS[name](on, path):
            until.wait()

    answers, files = [], 0
    with attacks.as_nobody(attack) if os.geteuid() == 0 else contextlib.nullcontext():
        until = time.monotonic() + HELD_S
        for ask in (watched.healthy, watched.metrics, watched.status):
            answers.append(_answer(watched, ask))
        with contextlib.suppress(psutil.Error):
            files = watched.descriptors()
        time.sleep(max(0.0, until - time.monotonic()))
        try:
            used = watched.cost()
        except (psutil.Error, OSError):
            return [*answers, "-", "-", str(files), "the daemon has ended"]
    after = _answer(watched, watched.metrics)
    log_mb = len(made.log()) / 1e6
    said = f"metrics {after}" + (f", {log_mb:.1f} MB of log" if log_mb > 0.1 else "")
    return [
        *answers,
        f"{used.cpu_s - before:.2f}",
        f"{used.peak_bytes / 1e6:.0f}",
        str(files),
        said,
    ]


def _answer(watched: Watched, ask: object) -> str:
    assert callable(ask)
    try:
        return f"{watched.cpu_until(ask):.2f}"
    except psutil.Error:
        return "ended"
    except (httpx.HTTPError, VllmdError, AssertionError, OSError) as error:
        return f"none: {type(error).__name__}"


if __name__ == "__main__":
    main()
