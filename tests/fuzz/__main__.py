"""`make fuzz`: damaged input for all that reads what others wrote, one target after another.

Each input has a bound of CPU time and memory. What is found is made small and kept in a file;
`make fuzz REPLAY=FILE` tries that one again.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.child import InHand
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build" / "fuzz"
ALL_S = 600.0
"""For all targets together, unless it is said for each."""
ENV = {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": str(ROOT)}


def child(target: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.child", target]
    command += ["--folder", str(folder), *more]
    return subprocess.run(
        command,
        env={**os.environ, "TMPDIR": str(folder), **ENV},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for one child, where files are best made and removed thousands of times."""
    memory = "/dev/shm"
    return tempfile.TemporaryDirectory(
        prefix="f-", dir=memory if os.access(memory, os.W_OK) else None
    )


class Report:
    """What came of one target."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self._seed = name, seed
        self.tried = 0
        self.cpu_s = 0.0
        self.kinds: list[str] = []

    def run(self, seconds: float) -> None:
        """Try inputs for so long; a process that an input has ended is followed by another."""
        until, number = time.monotonic() + seconds, 0
        while (left := until - time.monotonic()) > 0:
            with new_folder() as folder:
                done = self._once(Path(folder), self._seed + number, left)
            number += 1
            if done:
                break

    def _once(self, folder: Path, seed: int, left: float) -> bool:
        known = json.dumps(self.kinds)
        ended = child(
            self.name, folder, "--seed", str(seed), "--seconds", str(left), "--known", known
        )
        last: dict[str, Any] = {}
        for line in ended.stdout.splitlines():
            if not line.startswith("{"):
                continue  # of libFuzzer
            said = json.loads(line)
            if "found" in said:
                found = said["found"]
                self._keep(found["kind"], bytes.fromhex(found["input"]), found["text"])
            else:
                last = said
        self.tried += last.get("tried", 0)
        self.cpu_s += last.get("cpu_s", 0.0)
        if ended.returncode:
            kind = f"the process ended with {ended.returncode}"
            self._keep(kind, InHand.read(folder / "input"), ended.stderr[-3000:])
        return not ended.returncode

    def _keep(self, kind: str, data: bytes, text: str) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        path = OUT / f"{self.name}-{self._seed}-{len(self.kinds)}"
        path.write_bytes(data)
        self.kinds.append(kind)
        print(f"{self.name}: {kind}\n{text.strip()}\ntry it again: make fuzz REPLAY={path}\n")


def replay(path: Path) -> int:
    """Try one input again, and say what becomes of it."""
    name = path.name.partition("-")[0]
    with new_folder() as folder:
        ended = child(name, Path(folder), "--replay", str(path.absolute()))
    print(ended.stderr.strip() if ended.returncode else f"{name}: nothing is wrong with it")
    return ended.returncode


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    ask.add_argument("--seconds", type=float, help="for each target; default: ten minutes for all")
    ask.add_argument("--only", help=f"one of {', '.join(TARGETS)}")
    ask.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    ask.add_argument("--replay", type=Path)
    given = ask.parse_args()
    if given.replay:
        return replay(given.replay)
    if given.only not in (None, *TARGETS):
        ask.error(f"there is no target {given.only}; there are {', '.join(TARGETS)}")
    names = [given.only] if given.only else list(TARGETS)
    seconds = given.seconds or ALL_S / len(TARGETS)
    print(f"seed {given.seed}, {seconds:.0f} s for each of {len(names)}", flush=True)
    found = 0
    for name in names:
        report = Report(name, given.seed)
        report.run(seconds)
        found += len(report.kinds)
        print(
            f"{name}: {report.tried} inputs, {report.cpu_s:.0f} s of CPU time, "
            f"{len(report.kinds)} found",
            flush=True,
        )
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
