"""The same faults, done to the same engine under vllmd and under what one would run instead.

`python -m tests.chaos.beside --supervisord PATH`: vllmd and supervisord on this host, units of
systemd in a Debian that is booted for them (tests/chaos/booted.py; needs root and cgroup v1).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import attrs

from tests.chaos.client import OK, failed
from tests.chaos.faults.base import SEEN_S
from tests.chaos.lab import Lab, same
from tests.chaos.supervisors import SUPERVISORS, Beside, Supervisord, Unit, running
from tests.helpers.site import wait_for

OUT = Path(__file__).parents[2] / "build" / "outcomes" / "chaos-beside.json"
GROUPS = Path("/sys/fs/cgroup/unified")
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


@attrs.define
class Row:
    """What became of one fault; `serves_after_s` is None if it did not within `LIMIT_S`."""

    under: str
    fault: str
    landed: str
    """By what the fault was seen; empty where it cannot be made."""
    lost: dict[str, int]
    serves_after_s: float | None
    left: int
    """Old processes that live and hang, or that nobody looks after any more."""


def make(beside: Beside, name: str) -> Row:
    """Do a fault to an engine that serves, and see when it serves again."""
    lab, fault = cast("Lab", beside), beside.fault(name)
    if fault is None:
        return Row(beside.name, name, "", {}, None, 0)
    with running(beside):
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
        return Row(beside.name, name, landed, lost, after, len(left))


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


def rows(under: type[Beside], faults: Iterable[str] = FAULTS) -> list[Row]:
    """Do each fault to an engine of its own."""
    made = []
    for name in faults:
        with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True) as at:
            made.append(make(under(Path(at)), name))
        print(made[-1], flush=True)
    return made


def ours(path: Path) -> list[Row]:
    """Have `make chaos` do each fault under vllmd to an engine that serves; notes go to `path`.

    Raises: subprocess.CalledProcessError: something was not as it should be, or was left.
    """
    only = f"^ready: ({'|'.join(map(re.escape, FAULTS))})$"
    words = ["--only", only, "--ways", "alone", "--jobs", "1", "--out", str(path)]
    subprocess.run([sys.executable, "-m", "tests.chaos", *words], check=True)
    found = {row["faults"][0]: row for row in json.loads(path.read_text())["rows"]}
    return [
        Row("vllmd", name, row["landed"][0], row["lost"], row["serves_after_s"], 0)
        for name in FAULTS
        if (row := found.get(name))
    ]


def write(made: Iterable[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(attrs.asdict(row), ensure_ascii=False) for row in made]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.chaos.beside", description=__doc__)
    ask.add_argument("--supervisord", metavar="PATH", required=True)
    ask.add_argument("--out", type=Path, default=OUT)
    given = ask.parse_args()
    from tests.chaos import booted  # it imports what a booted system has no need of

    if os.geteuid() != 0 or not GROUPS.exists():
        ask.error(f"a unit of systemd needs root and cgroup v1 (hybrid, {GROUPS})")
    Supervisord.path = given.supervisord
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp") as at:
        made = ours(Path(at) / "chaos.json")
    made += rows(Supervisord)
    units = [name for name, each in SUPERVISORS.items() if issubclass(each, Unit)]
    made += [Row(**row) for row in booted.rows(units)]
    write(made, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
