"""Commands of an installation: their words go to a log, their progress is read off the disk."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from vllmd.errors import InstallError

TICK_S = 0.5
LAST_LINES = 6

Tick = Callable[[], None]


@attrs.frozen
class CommandRunner:
    """Runs commands, one after the other."""

    log: Path
    env: Mapping[str, str]

    def run(self, command: Sequence[str], *, tick: Tick = lambda: None, text: str = "") -> None:
        """Run one to its end; `text` is what it reads, `tick` is called now and then.

        Raises: InstallError: it failed; with its last words, and where all of them are.
        """
        with self.log.open("ab") as output:
            output.write(f"\n$ {' '.join(command)}\n".encode())
            output.flush()
            started = time.monotonic()
            code = self._wait(command, output.fileno(), tick, text)
            output.write(f"# exit {code}, {time.monotonic() - started:.0f} s\n".encode())
        if code != 0:
            raise self._failure(command, f"exited {code}")

    def _wait(self, command: Sequence[str], output: int, tick: Tick, text: str) -> int:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self.env,
            )
        except OSError as error:
            raise self._failure(command, f"cannot be run: {error.strerror}") from None
        try:
            if process.stdin is not None:
                process.stdin.write(text.encode())
                process.stdin.close()
            while True:
                try:
                    return process.wait(TICK_S)
                except subprocess.TimeoutExpired:
                    tick()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()

    def _failure(self, command: Sequence[str], what: str) -> InstallError:
        words = self.log.read_text(errors="replace").rstrip().splitlines()
        last = [line for line in words if not line.startswith("# exit ")][-LAST_LINES:]
        return InstallError(
            f"'{' '.join(command[:6])} …' {what}; all of it is in {self.log}:\n"
            + "\n".join(f"  {line}" for line in last)
        )


def growth(folder: Path, expected_bytes: int) -> Callable[[], float]:
    """Return a function that tells which share of some bytes has come onto a disk since now.

    By what is free there: a walk over a hundred thousand files would cost more than it says.
    """
    before = shutil.disk_usage(folder).free

    def share() -> float:
        taken = before - shutil.disk_usage(folder).free
        return min(1.0, max(0.0, taken / expected_bytes))

    return share


def size_of(folder: Path, ending: str = "") -> int:
    """Return the bytes that the files below a folder take on the disk, of those that end so."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            if name.endswith(ending):
                with contextlib.suppress(OSError):  # gone meanwhile
                    total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total
