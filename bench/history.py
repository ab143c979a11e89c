"""What remembering costs: an event, a million events, and `vllmd why` from a cold start.

Beside it, what one would have instead: a line of JSON appended to a file with an fsync. Prints one
table; every figure is of this one run.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import structlog

from vllmd.eventlog import log
from vllmd.eventlog.bus import Event, EventBus
from vllmd.events.base import emit, to_fields
from vllmd.events.engine import EngineExited, EngineStateChanged
from vllmd.history.store import NAME, Store
from vllmd.history.writer import BATCH, HistoryWriter
from vllmd.util.redact import Redactor
from vllmd.util.units import MIB

EVENTS = 1_000_000
COMMITS = 200
MAX_BYTES = 64 * MIB
ENDED = EngineExited(
    code="0",
    requested=False,
    text="exited with code 0, unasked",
    run_id="0123456789ab",
    cause="engine_core_died",
    explanation="The part of vLLM that computes was killed or crashed without a word.",
    advice="If nobody killed it, look for the kernel's OOM killer: journalctl -k -g oom.",
    evidence=("EngineDeadError: EngineCore encountered an issue.",),
    phase=None,
    killed=(),
    incident=None,
    last_line=None,
)


def event(number: int) -> Event:
    failed = number % 100 == 0
    name = EngineExited.name if failed else EngineStateChanged.name
    fields = (
        to_fields(ENDED) if failed else {"state": "ready", "before": "loading", "number": number}
    )
    level = "error" if failed else "info"
    return Event(time.time(), name, level, f"engine-{number % 5}", fields)


def put_cost(folder: Path) -> float:
    """Return the event loop's CPU seconds for one event: the log, the masks, the queue."""
    history, feed = HistoryWriter(Store(folder)), EventBus()
    history.start()
    feed.attach({"history": history.put})
    secrets = [f"a-secret-of-some-length-{n}" for n in range(10)]
    log.configure(io.StringIO(), steps=[Redactor(secrets), feed])
    logger = structlog.get_logger().bind(engine="chat")
    began = time.thread_time()
    for _ in range(4000):
        emit(logger, ENDED)
    took = time.thread_time() - began
    history.close()
    return took / 4000


def commit_cost(folder: Path) -> tuple[float, float]:
    """Return seconds for an event on the disk: SQLite's commit, and a line with an fsync."""
    store = Store(folder)
    store.open()
    ours = timed(lambda n: store.append([event(n * 100)]), COMMITS)
    store.close()
    with (folder / "events.jsonl").open("ab") as file:

        def line(number: int) -> None:
            file.write(json.dumps(event(number * 100).to_json()).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

        return ours, timed(line, COMMITS)


def timed(do: Callable[[int], None], times: int) -> float:
    began = time.monotonic()
    for number in range(times):
        do(number)
    return (time.monotonic() - began) / times


def million(folder: Path) -> tuple[float, int, int]:
    """Return seconds of CPU for a million events, the most bytes on the disk, and those kept."""
    store = Store(folder, max_bytes=MAX_BYTES)
    store.open()
    most, began = 0, time.process_time()
    for first in range(0, EVENTS, BATCH):
        store.append([event(n) for n in range(first, first + BATCH)])
        store.prune_if_due()
        if first % (BATCH * 20) == 0:
            most = max(most, sum(p.stat().st_size for p in folder.glob(f"{NAME}*")))
    took = time.process_time() - began
    kept = store.connection.execute("SELECT count(*) FROM events").fetchone()[0]
    store.close()
    most = max(most, sum(p.stat().st_size for p in folder.glob(f"{NAME}*")))
    return took, most, kept


def command_time(*arguments: str) -> float:
    """Return the median of five runs of a command, in seconds."""
    took = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
        took.append(time.monotonic() - began)
    return sorted(took)[2]


def why_times(folder: Path) -> tuple[float, float]:
    """Return the seconds of `vllmd why` over a full history, and of an empty Python."""
    config = folder / "v.toml"
    config.write_text(f'[daemon]\nstate_dir = "{folder}"\n')
    program = str(Path(sys.executable).with_name("vllmd"))
    nobody = str(folder / "no.sock")
    why = command_time(program, "why", "engine-0", "-c", str(config), "--socket", nobody)
    return why, command_time(sys.executable, "-c", "pass")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sub in ("put", "commit", "million"):
            (folder / sub).mkdir()
        put = put_cost(folder / "put")
        ours, line = commit_cost(folder / "commit")
        cpu, most, kept = million(folder / "million")
        why, python = why_times(folder / "million")
    rows = [
        ("an event in the event loop", f"{put * 1e6:.0f} µs of CPU (limit 1000)"),
        ("an event on the disk", f"{ours * 1e3:.2f} ms, {ours / line:.1f} times a line's fsync"),
        ("a million events", f"{cpu:.1f} s of CPU, {cpu / EVENTS * 1e6:.1f} µs each"),
        ("  the most on the disk", f"{most / MIB:.1f} of {MAX_BYTES / MIB:.0f} MiB; {kept} kept"),
        (
            "vllmd why, cold, daemon down",
            f"{why * 1e3:.0f} ms (limit 300), {why / python:.1f} times an empty Python",
        ),
    ]
    for name, figure in rows:
        print(f"{name:<30} {figure}")


if __name__ == "__main__":
    main()
