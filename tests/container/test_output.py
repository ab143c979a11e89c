"""The output of engines: in the files and on standard output, each line once and whole."""

import contextlib
import gzip
import itertools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.container.box import CHAT, STAND_IN, Box, container
from tests.container.image import Image
from tests.helpers.site import wait_for

LINES = 3000
PRINTS = f"""
import sys, time
for n in range({LINES}):
    sys.stdout.write("line %06d %s end\\n" % (n, "x" * (20, 300, 9000, 1)[n % 4]))
    sys.stdout.flush()
    if n % 20 == 0:
        time.sleep(0.05)
print("all is printed", flush=True)
time.sleep(600)
"""
PRINTER = {
    **STAND_IN,
    f"{CHAT}EXECUTABLE": json.dumps(["/usr/bin/python3", "-c", PRINTS]),
    "VLLMD__LOGS__ROTATE_MB": "1",
    f"{CHAT}DRAIN_S": "1",
}
EXPECTED = [f"line {n:06d} {'x' * (20, 300, 9000, 1)[n % 4]} end" for n in range(LINES)]


LAST = b"chat | all is printed\n"


class Reader:
    """Reads a pipe to its end, in a thread. What it has is not looked through while more comes."""

    def __init__(self) -> None:
        self.end, self.given = os.pipe()
        self.text = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def _read(self) -> None:
        while block := os.read(self.end, 1 << 16):
            self.text += block

    def lines(self) -> list[str]:
        """Return the lines that the engine printed, as they came out."""
        return [each.removeprefix("chat | ") for each in self.all() if each.startswith("chat | ")]

    def all(self) -> list[str]:
        return self.text.decode(errors="replace").splitlines()


@contextlib.contextmanager
def printing(image: Image, folder: Path) -> Iterator[tuple[Box, Reader]]:
    """Run the engine that prints, with a pipe as its standard output that nobody reads yet."""
    reader = Reader()
    with container(image, folder, PRINTER, output=reader.given) as box:
        os.close(reader.given)
        yield box, reader


def in_files(folder: Path) -> list[str]:
    """Return the lines of the engine's files, rotated and compressed ones too."""
    files = sorted((folder / "log").glob("chat.log.[0-9]*[0-9]")) + sorted(
        (folder / "log").glob("chat.log.*.gz")
    )
    by_number = {int(re.findall(r"\.(\d{6})", each.name)[0]): each for each in files}
    parts = [by_number[number] for number in sorted(by_number)] + [folder / "log" / "chat.log"]
    text = b"".join(
        gzip.decompress(each.read_bytes()) if each.suffix == ".gz" else each.read_bytes()
        for each in parts
    )
    return [each for each in text.decode().splitlines() if each.startswith("line ")]


def all_is_printed(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return "all is printed" in (folder / "log" / "chat.log").read_text()
    return False


def kill_daemon(box: Box) -> None:
    """Kill the daemon, once it answers, and not the first process above it."""
    wait_for("a daemon", lambda: box.get("/-/healthy")[0] == 200)
    (daemon,) = [
        each
        for line, each in box.processes().items()
        if line.endswith("/vllmd run") and each.pid != box.first
    ]
    os.kill(daemon.pid, signal.SIGKILL)


@pytest.mark.parametrize("kills", [0, 4])
def test_each_line_comes_whole_over_rotations_and_daemons_that_are_killed(
    image: Image, folder: Path, kills: int
) -> None:
    """Once, but for the one line that a daemon was at when it was killed."""
    with printing(image, folder) as (box, reader):
        reader.begin()
        for _ in range(kills):
            wait_for_more(reader)
            kill_daemon(box)
        wait_for("the last line", lambda: LAST in reader.text, 120)
        wait_for("a daemon", lambda: box.get("/-/healthy")[0] == 200)
        assert dropped(box) == 0
        assert len(list((folder / "log").glob("chat.log.*"))) > 3
        assert box.stop() == 0
        assert in_files(folder) == EXPECTED
        printed = [each for each in reader.lines() if each.startswith("line ")]
        whole = [each for each in printed if each.endswith(" end")]
        assert [line for line, _ in itertools.groupby(whole)] == EXPECTED
        assert len(printed) - len(EXPECTED) <= kills
        assert "ended by SIGTERM" in reader.text.decode()


def wait_for_more(reader: Reader) -> None:
    seen = len(reader.text)
    wait_for("more lines", lambda: len(reader.text) > seen + 100_000)


def test_output_that_nobody_reads_holds_up_nobody(image: Image, folder: Path) -> None:
    with printing(image, folder) as (box, reader):
        wait_for("the last line", lambda: all_is_printed(folder), 120)
        assert box.engine()["state"] == "loading"
        wait_for("the count", lambda: dropped(box) > 1000)
        for _ in range(60):  # more events than a pipe holds that the engine's lines have filled
            box.signal(signal.SIGHUP)
            time.sleep(0.1)
        assert box.get("/-/healthy")[0] == 200
        began = time.monotonic()
        assert box.stop() == 0
        assert time.monotonic() - began < 30
        assert in_files(folder) == EXPECTED
    reader.begin()


@pytest.mark.parametrize("way", ["closed", "nobody is there"])
def test_standard_output_that_is_closed_costs_nothing_else(
    image: Image, folder: Path, way: str
) -> None:
    """A file that gets the number of a closed one would get the lines."""
    end, given = os.pipe()
    os.close(end)
    if way == "closed":
        command = f"exec {' '.join(image.command)} >&- 2>&-"
        image = attrs.evolve(image, command=["/bin/sh", "-c", command])
    with container(image, folder, PRINTER, output=given) as box:
        os.close(given)
        wait_for("the last line", lambda: all_is_printed(folder), 120)
        kill_daemon(box)
        wait_for("the next daemon", lambda: box.state() == "loading")
        assert box.stop() == 0
    assert in_files(folder) == EXPECTED
    strays = [
        path
        for path in folder.rglob("*")
        if path.is_file() and ".log" not in path.name and b"chat | " in path.read_bytes()
    ]
    assert strays == []


def dropped(box: Box) -> float:
    """Return how many lines the page says were not taken."""
    page = box.get("/metrics")[1]
    found = re.search(
        r'^vllmd_log_stdout_dropped_lines_total\{vllmd_engine="chat"\} (\S+)', page, re.M
    )
    return float(found[1]) if found else 0.0
