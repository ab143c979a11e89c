"""The reader of slow rows, a thousand times as often as usual: does a call of NVML end it?

A library that writes beyond its memory is seen by glibc's checks, where its library for that is.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.gpu.conftest import REPORT
from tests.helpers.outcomes import Outcome
from vllmd.gpu import calls
from vllmd.gpu.calls import RowKey
from vllmd.gpu.latest import Periods
from vllmd.gpu.sources import NVML, command_of

SOAK_S = float(os.environ.get("VLLMD_GPU_SOAK_S", "90"))
EVERY_S = 0.01
MALLOC_CHECKS = Path("/usr/lib/x86_64-linux-gnu/libc_malloc_debug.so.0")

Choice = Callable[[RowKey], bool]
CHOICES: dict[str, Choice] = {
    "all rows": lambda _: True,
    "all but NVLink's": lambda key: not key.row.startswith("nvlink"),
    "NVLink's alone": lambda key: key.row.startswith("nvlink"),
}


def read_for(seconds: float, left_out: Iterable[RowKey], **env: str) -> tuple[int | None, str]:
    """Read the slow rows for a while; return the exit status (None: it lived) and what was seen."""
    descriptor = calls.make(left_out)
    process = subprocess.Popen(
        command_of(NVML, Periods(0.0, 0.0, EVERY_S)),
        env={**os.environ, **env, calls.VARIABLE: str(descriptor)},
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    messages = [0]

    def count(lines: Iterable[bytes]) -> None:
        for _ in lines:
            messages[0] += 1

    reading = threading.Thread(target=count, args=(process.stdout,))
    reading.start()
    began = time.monotonic()
    while process.poll() is None and time.monotonic() < began + seconds:
        time.sleep(0.1)
    status, lived_s = process.poll(), time.monotonic() - began
    process.kill()
    said = process.stderr.read().decode(errors="replace")[-500:]
    reading.join()
    noted = calls.read(descriptor)
    os.close(descriptor)
    rows = sorted({key.row for key in noted.called})
    text = f"{messages[0]} messages in {lived_s:.0f} s, {len(rows)} rows"
    if status is not None:
        text += f"; ended with {status} in {noted.under_way}: {said}"
    return status, text


def rows_of_this_host() -> tuple[RowKey, ...]:
    """Return all that the reader asks for here, by one short run."""
    descriptor = calls.make(())
    process = subprocess.Popen(
        command_of(NVML, Periods(0.0, 0.0, EVERY_S)),
        env={**os.environ, calls.VARIABLE: str(descriptor)},
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(5)
    process.kill()
    process.wait()
    noted = calls.read(descriptor).called
    os.close(descriptor)
    return noted


@pytest.mark.parametrize("choice", CHOICES)
def test_the_slow_rows_are_read_without_an_end(outcome: Outcome, choice: str) -> None:
    known = rows_of_this_host()
    left_out = [key for key in known if not CHOICES[choice](key)]
    status, text = read_for(SOAK_S, left_out)
    REPORT.append(f"soak, {choice} ({len(known) - len(left_out)} calls): {text}")
    assert status is None, text
    outcome(f"NVML's seldom rows read 100 times a second: {choice}", f"no crash in {text}")


def test_the_slow_rows_are_read_with_glibcs_checks(outcome: Outcome) -> None:
    if not MALLOC_CHECKS.exists():
        pytest.skip(f"{MALLOC_CHECKS} is not there")
    status, text = read_for(
        SOAK_S / 3,
        (),
        LD_PRELOAD=str(MALLOC_CHECKS),
        GLIBC_TUNABLES="glibc.malloc.check=3",
    )
    REPORT.append(f"soak, all rows, checked by glibc: {text}")
    assert status is None, text
    outcome("the same with glibc's checks of its memory", f"no crash in {text}")
