"""Rotated files compressed: aside, at the lowest priority, whole or not at all."""

import contextlib
import glob
import os
import shutil
import subprocess

from vllmd.shim import logfiles
from vllmd.shim.record import sync_folder

NEW = ".gz.new"


class Compressor:
    """Compresses what was rotated of one log, all but the newest: `tail -F` may still read that."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False
        self.problem: str | None = None
        """Why the last one could not be compressed; None if it could."""

    def run(self) -> int:
        """Compress what is due; returns how many files were. Waits for gzip: call it in a thread.

        A file whose compression is broken off is as it was.
        """
        done = 0
        for left in glob.glob(f"{glob.escape(self._log)}.*{NEW}"):  # by a daemon that was killed
            with contextlib.suppress(OSError):
                os.unlink(left)
        for number in self._due():
            if self._closing:
                break
            if not self._compress(logfiles.rotated(self._log, number)):
                break
            done += 1
        return done

    def close(self) -> None:
        """Break off: the next daemon goes on."""
        self._closing = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _due(self) -> list[int]:
        numbers = logfiles.listed(self._log)
        for paths in numbers.values():
            if len(paths) == 2:  # the power went between the last two steps
                with contextlib.suppress(OSError):
                    os.unlink(paths[0])
                paths.pop(0)
        older = list(numbers)[:-1]
        return [n for n in older if not numbers[n][0].endswith(".gz")]

    def _compress(self, path: str) -> bool:
        new = f"{path}{NEW}"
        idle = ["ionice", "-c", "3"] if shutil.which("ionice") else []
        try:
            before = os.stat(path)
            with open(path, "rb") as plain, open(new, "wb") as packed:
                os.fchmod(packed.fileno(), before.st_mode & 0o777)
                command = ["nice", "-n", "19", *idle, "gzip", "-c", "-n"]
                self._process = subprocess.Popen(command, stdin=plain, stdout=packed)
                code = self._process.wait()
                if code != 0:
                    raise OSError(0, f"gzip ended with {code}")
                os.fsync(packed.fileno())
            os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.rename(new, f"{path}.gz")
            sync_folder(path)  # before the other copy goes
            os.unlink(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(new)
            if not self._closing:
                self.problem = f"{path}: {error.strerror or error}"
            return False
        self.problem = None
        return True
