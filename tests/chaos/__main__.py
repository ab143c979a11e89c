"""Make the rows: `python -m tests.chaos`, as `make chaos` does; it fails if a row does."""

import argparse
import itertools
import json
import logging
import os
import queue
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from tests.chaos import clock, plan, states
from tests.chaos.faults import FAULTS
from tests.chaos.lab import Lab, running
from tests.chaos.plan import Planned
from tests.chaos.rows import Row, Trial
from tests.helpers.disk import small_disk

OUT = Path(__file__).parents[2] / "build" / "outcomes" / "chaos.json"
BAD = Path(__file__).parents[2] / "build" / "chaos"
"""What the daemon logged in rows that are bad."""
STAY = frozenset({"ready", "held", "sleeping"})
"""States in which an engine is again after a row that is good: the next one can begin there."""
DISKS = {"state": "24m", "log": "24m", "run": "4m"}


stopping = threading.Event()


def made_in(
    folder: Path, rows: "queue.Queue[Planned]", note: "Notes", *, weights: bool = False
) -> None:
    """Make rows on one host after another, until there are none left; a bad row ends its host."""
    for number in itertools.count():
        if rows.empty() or stopping.is_set():
            return
        try:
            with ExitStack() as stack:
                lab = host(stack, folder / str(number), weights=weights)
                while _next(lab, rows, note):
                    pass
        except (AssertionError, OSError):
            traceback.print_exc()


def host(stack: ExitStack, folder: Path, *, weights: bool) -> Lab:
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        for name, size in DISKS.items():
            stack.enter_context(small_disk(folder / name, size))
    clock.step(folder, 0)
    return stack.enter_context(running(folder, preload=weights, env=clock.env(folder)))


def _next(lab: Lab, rows: "queue.Queue[Planned]", note: "Notes") -> bool:
    """Make a row; returns whether this host can have another."""
    if stopping.is_set():
        return False
    try:
        planned = rows.get_nowait()
    except queue.Empty:
        return False
    began = time.monotonic()
    there = planned.state in STAY and lab.state() == planned.state
    if not there:
        states.heal(lab)
    row = Trial(lab, planned.state, planned.faults, planned.way, there=there).run()
    if planned.state not in STAY or not rows.queue or rows.queue[0].state != planned.state:
        try:
            states.heal(lab)
        except AssertionError as error:
            row.wrong.append(f"it could not be brought back: {str(error).splitlines()[0]}")
    note.take(row, time.monotonic() - began)
    if row.wrong:
        keep = BAD / f"{len(note.rows)}.log"
        keep.write_text(f"{row}\n\n{lab.site.log()}")
    return not row.wrong


class Notes:
    """The rows that were made."""

    def __init__(self, total: int) -> None:
        self.rows: list[Row] = []
        self._total = total
        self._lock = threading.Lock()

    def take(self, row: Row, seconds: float) -> None:
        with self._lock:
            self.rows.append(row)
            said = "; ".join(row.wrong) or "good"
            what = " + ".join(row.faults)
            print(
                f"{len(self.rows)}/{self._total} {row.state}: {what} ({row.way}, {seconds:.1f} s): "
                f"{said}",
                flush=True,
            )

    def write(self, path: Path, seed: int) -> None:
        """Write them; rows that were there before stay, unless they were made again."""
        path.parent.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text())["rows"] if path.exists() else []
        made = [json.loads(json.dumps(attrs.asdict(row))) for row in self.rows]
        known = {(row["state"], *row["faults"], row["way"]): row for row in [*before, *made]}
        rows = [json.dumps(row, ensure_ascii=False) for row in known.values()]
        path.write_text(f'{{"seed": {seed}, "rows": [\n' + ",\n".join(rows) + "\n]}\n")


def make(rows: Sequence[Planned], folder: Path, jobs: int) -> Notes:
    """Make rows on so many hosts at once."""
    note = Notes(len(rows))
    plain: queue.Queue[Planned] = queue.Queue()
    weights: queue.Queue[Planned] = queue.Queue()
    for each in rows:
        (weights if each.needs_weights else plain).put(each)
    threads = [
        threading.Thread(
            target=made_in, args=(folder / f"h{n}", plain, note), kwargs={"weights": False}
        )
        for n in range(jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made_in(folder / "w", weights, note, weights=True)
    return note


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    ask.add_argument("--seed", type=int, default=int(time.time()), help="of the pairs")
    ask.add_argument("--pairs", type=int, default=30, help="how many are drawn")
    ask.add_argument("--jobs", type=int, default=2, help="hosts at a time")
    ask.add_argument("--only", default="", help="a pattern: state: fault")
    ask.add_argument("--ways", default="alone,twice,pair")
    ask.add_argument("--out", type=Path, default=OUT)
    given = ask.parse_args()
    if os.geteuid() == 0 and not os.environ.get("VLLMD_CHAOS_APART"):
        os.environ["VLLMD_CHAOS_APART"] = "1"  # its mounts are seen by nobody else
        again = [sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", *again])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    BAD.mkdir(parents=True, exist_ok=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    print(f"seed {given.seed}", flush=True)
    for fault in FAULTS:
        if why := fault.impossible():
            print(f"not run: {fault.name}: {why}")
    ways = {
        "alone": plan.alone(),
        "twice": plan.twice(),
        "pair": plan.pairs(given.pairs, given.seed),
    }
    rows = [
        each
        for way, some in ways.items()
        for each in some
        if way in given.ways
        and not any(fault.impossible() for fault in each.faults)
        and re.search(given.only, f"{each.state}: {each.faults[0].name}")
    ]
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        note = make(rows, Path(folder), given.jobs)
    note.write(given.out, given.seed)
    bad = [row for row in note.rows if row.wrong]
    seen = {(row.faults[0], row.state) for row in note.rows if row.landed}
    print(f"{len(note.rows)} rows, {len(seen)} pairs of fault and state seen, {len(bad)} bad")
    return bool(bad) or len(note.rows) < len(rows)


if __name__ == "__main__":
    sys.exit(main())
