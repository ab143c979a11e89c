"""What the kernel said about GPUs and about memory: Xids, and whom the OOM killer took."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

DEVICE = "/dev/kmsg"
PATTERN = r"NVRM|Xid|nvidia|nvlink|[Oo]ut of memory|oom[-_]|Killed process"
LIMIT_S = 5.0
MAX_LINES = 500
_RECORD_BYTES = 8192


def kernel_lines(since: float, device: str = DEVICE) -> str:
    """Return the kernel's lines since then (seconds since the epoch) that match `PATTERN`.

    From the kernel itself, or from the journal where this user may not ask the kernel.

    Returns: lines, each with its time; or a sentence that says why there is none.
    """
    try:
        return _text(list(_from_device(since, device)))
    except OSError as error:
        return _from_journal(since, f"{device}: {error.strerror}")


def _text(lines: list[str]) -> str:
    if not lines:
        return "the kernel said nothing of GPUs or of memory in this time\n"
    return "".join(f"{line}\n" for line in lines[-MAX_LINES:])


def _from_device(since: float, device: str) -> Iterator[str]:
    """Read the kernel's ring buffer. Source: Documentation/ABI/testing/dev-kmsg."""
    boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    pattern = re.compile(PATTERN)
    descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while record := _next(descriptor):
            head, _, text = record.decode(errors="replace").partition(";")
            at = boot + int(head.split(",")[2]) / 1e6
            line = text.split("\n", 1)[0]
            if at >= since and pattern.search(line):
                yield f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ} {line}"
    finally:
        os.close(descriptor)


def _next(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, _RECORD_BYTES)
        except BlockingIOError:
            return b""
        except BrokenPipeError:  # overwritten while we read: go on with what there is
            continue


def _from_journal(since: float, why: str) -> str:
    command = ["journalctl", "-k", "-q", "--no-pager", "-o", "short-iso", f"--since=@{since:.0f}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the kernel's log cannot be read ({why}; journalctl: {error})\n"
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        return f"the kernel's log cannot be read ({why}; journalctl: {said})\n"
    lines = done.stdout.decode(errors="replace").splitlines()
    return _text([line for line in lines if re.search(PATTERN, line)])
