"""What a shim that was killed left behind: found by its session id, and ended.

An environment tag cannot serve for this: vLLM's process titles overwrite the environment that
`/proc` shows. A session id cannot be taken by another process while one of its members lives.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import cast

from vllmd.shim import proc
from vllmd.shim.protocol import EXIT_RECORD_NAME, RUN_RECORD_NAME, ExitRecord, RunRecord
from vllmd.shim.record import read_record
from vllmd.util.clock import Clock

ROUNDS = 100
ROUND_S = 0.05
LIVES_LOOKS = 20
LIVES_LOOK_S = 0.1


def read_run(directory: Path) -> RunRecord | None:
    """Return what was started last in an engine's directory, if that can be read."""
    record = read_record(str(directory / RUN_RECORD_NAME))
    if record is None or not RunRecord.__required_keys__ <= record.keys():
        return None
    if record["boot_id"] != proc.boot_id():
        return None
    return cast(RunRecord, record)


def read_exit(directory: Path, run_id: str) -> ExitRecord | None:
    """Return how run `run_id` ended, if its shim lived to say so."""
    record = read_last_exit(directory)
    return record if record is not None and record["run_id"] == run_id else None


def read_last_exit(directory: Path) -> ExitRecord | None:
    """Return how the last run in an engine's directory ended, if that is known."""
    record = read_record(str(directory / EXIT_RECORD_NAME))
    if record is None or not ExitRecord.__required_keys__ <= record.keys():
        return None
    return cast(ExitRecord, record)


def find(record: RunRecord) -> list[proc.Stat]:
    """List what is left of a run: members of its session, started with it or later.

    Raises: OSError: the processes cannot be read.
    """
    session = record["engine_pid"]
    leader = proc.look_at(session)
    if leader is not None and leader.start_ticks != record["engine_start_ticks"]:
        return []
    members = proc.session_members(session)
    return [s for s in members if s.start_ticks >= record["engine_start_ticks"]]


async def kill(record: RunRecord) -> list[str]:
    """Kill what is left of a run, in a loop until nothing is: a worker may start a helper.

    Returns: the names of what was killed.
    Raises: TimeoutError: something does not die (uninterruptible); OSError: it cannot be looked
        for, or is another user's. The caller must not start another engine.
    """
    named: dict[tuple[int, int], str] = {}
    for _ in range(ROUNDS):
        left = find(record)
        if not left:
            return list(named.values())
        for stat in left:
            named.setdefault((stat.pid, stat.start_ticks), proc.describe(stat))
            try:
                os.kill(stat.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        await asyncio.sleep(ROUND_S)
    left_names = ", ".join(proc.describe(stat) for stat in find(record))
    raise TimeoutError(f"still there after SIGKILL: {left_names}")


def shim_alive(record: RunRecord) -> bool:
    """Tell whether the shim of a run lives, or nobody can tell: its engine is left alone then."""
    try:
        stat = proc.look_at(record["shim_pid"])
    except OSError:
        return True
    return (
        stat is not None and not stat.is_zombie and stat.start_ticks == record["shim_start_ticks"]
    )


async def shim_lives_on(run: Callable[[], RunRecord], clock: Clock) -> bool:
    """Tell whether a shim lives whose connection has just ended without a word.

    One that was killed closes its connections a moment before it is gone. `run` returns its record.
    """
    for _ in range(LIVES_LOOKS):
        if not shim_alive(run()):
            return False
        await clock.sleep(LIVES_LOOK_S)
    return True


def signal_shim(record: RunRecord, number: signal.Signals) -> None:
    """Send a signal to the shim of a run, if it lives."""
    if shim_alive(record):
        with contextlib.suppress(OSError):
            os.kill(record["shim_pid"], number)


def ask_end(record: RunRecord) -> None:
    """Ask a shim that does not answer to end its engine: it takes SIGTERM for that."""
    if shim_alive(record):
        with contextlib.suppress(OSError):
            proc.ask_end(record["shim_pid"])


def kill_shim(record: RunRecord) -> None:
    """Kill the shim of a run, which does not end its engine."""
    signal_shim(record, signal.SIGKILL)
