"""What an engine printed and what is on the disk, whatever happens in between."""

import functools
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import babbler
from tests.helpers.disk import fill, small_disk
from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.reference import normalised
from tests.helpers.site import DAEMON, Site, needs, site, wait_for
from vllmd.logs.reader import open_number
from vllmd.shim import logfiles
from vllmd.shim.output_filter import CUT, MAX_LINE_BYTES
from vllmd.util.units import KIB, MIB

SECRET = "sec-ret-0123456789"
MARK = re.compile(rb"\[vllmd\] (\d+) lines \((\d+) bytes\) are missing here: (.*)")
CONFIG = (
    DAEMON
    + """poll_s = 0.5
[logs]
rotate_mb = {rotate_mb}
keep = 1000
budget_mb = 1200
[engines.chat]
model = "m"
port = {api}
executable = ["{python}", "{program}", "{folder}/printed", "{secret}", "{seed}"]
env = {{ CHAT_API_KEY = "{secret}", LONGEST = "{longest}" }}
drain_s = 1
stop_grace_s = 1
"""
)


TOO_LONG = 3 * MAX_LINE_BYTES
"""Some lines are cut then."""
MOST_LOST = 3 * MIB + 512 * KIB
"""Bytes that a killed shim takes with it at most: docs/logs.md."""


class Printing:
    """A site whose engine prints, and what is known of it."""

    def __init__(self, made: Site) -> None:
        self.site = made
        self.log = made.folder / "log" / "chat.log"
        self.notes = made.folder / "printed"

    def finish(self) -> None:
        """Let the engine print no more, and end everything."""
        Path(f"{self.notes}.stop").touch()
        wait_for("its last line", Path(f"{self.notes}.stopped").exists)
        assert self.site.stop() == 0

    def reference(self) -> list[bytes]:
        return normalised(self.notes.read_bytes(), (SECRET,)).split(b"\n")[:-1]

    def on_disk(self) -> list[bytes]:
        """Return the lines of all files, oldest first; those that were cut are whole again."""
        data = b""
        for path, *_ in logfiles.listed(str(self.log)).values():
            raw = Path(path).read_bytes()
            data += gzip.decompress(raw) if path.endswith(".gz") else raw
        if self.log.exists():  # a shim killed in the middle of a rotation leaves none
            data += self.log.read_bytes()
        return data.replace(CUT, b"").split(b"\n")[:-1]

    def exit_record(self) -> dict[str, int]:
        path = self.site.folder / "run" / "engines" / "chat" / "exit.json"
        return dict(json.loads(path.read_text()))

    def check(self) -> tuple[int, int]:
        """Compare; returns how many lines there were and how many of them are missing."""
        printed = self.reference()
        position = missing = 0
        for line in self.on_disk():
            mark = MARK.fullmatch(line)
            if mark:
                gap = printed[position : position + int(mark[1])]
                assert sum(len(each) + 1 for each in gap) == int(mark[2])
                position += len(gap)
                missing += len(gap)
                continue
            assert line == printed[position], f"line {position} is another one"
            position += 1
        unmarked = len(printed) - position
        assert self.exit_record()["log_dropped_lines"] == missing + unmarked
        return len(printed), missing + unmarked


@contextmanager
def printing(
    folder: Path,
    seed: int,
    rotate_mb: int = 1,
    program: str = babbler.__file__,
    longest: int = MAX_LINE_BYTES - KIB,
) -> Iterator[Printing]:
    exporter, api = free_port(), free_port()
    places = {"folder": folder, "exporter": exporter, "api": api, "secret": SECRET, "seed": seed}
    program_of = {"python": sys.executable, "program": program, "longest": longest}
    text = CONFIG.format(rotate_mb=rotate_mb, **program_of, **places)
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        wait_for("something printed", (folder / "log" / "chat.log").exists)
        yield Printing(made)


def test_everything_printed_is_on_the_disk_once_whatever_happens_to_the_daemon(
    tmp_path: Path, outcome: Outcome
) -> None:
    chance = random.Random(7)
    kills = rotations = 0
    with printing(tmp_path, seed=7, longest=TOO_LONG) as made:
        shim = made.site.wait_state("chat", "loading")["shim_pid"]

        def rotated() -> bool:  # the daemon is away for a moment in a reload
            return made.site.vllmd("logs", "rotate", "chat").returncode == 0

        for _ in range(12):
            time.sleep(chance.uniform(0.1, 0.6))
            match chance.randrange(4):
                case 0:
                    made.site.kill_daemon()
                    time.sleep(chance.uniform(0, 0.5))
                    made.site.start()
                    kills += 1
                case 1:
                    os.kill(shim, signal.SIGHUP)
                    made.site.daemon.send_signal(signal.SIGHUP)
                case _:
                    wait_for("a rotation", rotated)
                    rotations += 1
        made.finish()
        _, missing = made.check()
    assert kills
    assert rotations
    assert SECRET.encode() not in b"".join(made.on_disk())
    outcome(
        "kill -9 of the daemon, reloads and rotations while an engine prints floods, bars and "
        "long lines",
        f"every line is on the disk once, in order ({missing} dropped)",
    )


def test_every_line_is_counted_once_also_those_of_the_daemon_s_absence(tmp_path: Path) -> None:
    def counted(made: Printing) -> int:
        families = made.site.metrics().splitlines()
        found = [f for f in families if f.startswith("vllmd_log_lines_total{")]
        return sum(int(float(line.rpartition(" ")[2])) for line in found)

    with printing(tmp_path, seed=3) as made:
        wait_for("lines that were counted", lambda: counted(made) > 0)
        time.sleep(0.5)
        made.site.daemon.send_signal(signal.SIGSTOP)  # between two looks
        made.site.kill_daemon()
        memory = json.loads((tmp_path / "state/engines/chat.log.json").read_text())
        time.sleep(1.5)
        made.site.start()
        Path(f"{made.notes}.stop").touch()
        wait_for("its last line", Path(f"{made.notes}.stopped").exists)
        before = _lines_before(made, memory["number"], memory["offset"])
        last = made.reference()[-1]
        wait_for("it on the disk", lambda: made.log.read_bytes().endswith(last + b"\n"))
        # a shim that gets no time on a busy host drops some, and a line says how many
        expected = len(made.on_disk()) - before
        wait_for("all lines counted", lambda: counted(made) == expected)
        made.site.stop()
        made.check()


def _lines_before(made: Printing, number: int, offset: int) -> int:
    log, count = str(made.log), 0
    for each in range(1, number + 1):
        file = open_number(log, each)  # the shim rotates and the daemon compresses meanwhile
        assert file is not None
        with file:
            count += file.read(offset if each == number else -1).count(b"\n")
    return count


def test_killed_shim_takes_no_more_with_it_than_the_documentation_says(
    tmp_path: Path, outcome: Outcome
) -> None:
    with printing(tmp_path, seed=13, longest=TOO_LONG) as made:
        shim = made.site.wait_state("chat", "loading")["shim_pid"]
        wait_for(
            "enough printed", lambda: logfiles.current_number(str(made.log)) > MOST_LOST // MIB
        )
        made.site.kill_daemon()  # it would start another engine
        os.kill(shim, signal.SIGKILL)
        engine = json.loads((tmp_path / "run/engines/chat/run.json").read_text())["engine_pid"]
        wait_for("the engine's end", lambda: not Path(f"/proc/{engine}").exists())
        printed, kept = made.reference(), made.on_disk()
    assert kept == printed[: len(kept)]
    lost = sum(len(line) + 1 for line in printed[len(kept) :])
    assert lost <= MOST_LOST
    outcome(
        "kill -9 of a shim in a flood", "the engine ends; at most 3.5 MiB of its output is lost"
    )


def test_reload_rotates_the_log_of_an_engine_that_runs_by_the_new_size(tmp_path: Path) -> None:
    with printing(tmp_path, seed=17, rotate_mb=400, longest=TOO_LONG) as made:
        engine = made.site.wait_state("chat", "loading")["pid"]
        wait_for("a large file", lambda: made.log.stat().st_size > 3 * MIB)
        assert not logfiles.listed(str(made.log))
        made.site.config.write_text(made.site.config.read_text().replace("= 400", "= 1"))
        assert made.site.vllmd("reload").returncode == 0
        wait_for("rotated files", lambda: len(logfiles.listed(str(made.log))) > 2)
        assert made.site.engine("chat")["pid"] == engine
        made.finish()
        made.check()


def test_status_shows_a_bar_while_it_moves(tmp_path: Path) -> None:
    bar = tmp_path / "bar.py"
    bar.write_text(
        "import time\n"
        "for percent in (20, 40):\n"
        "    print(f'\\rweights: {percent:3}%', end='', flush=True)\n"
        "time.sleep(99)\n"
    )
    with printing(tmp_path, seed=0, program=str(bar)) as made:
        wait_for(
            "the bar", lambda: "chat: prints: weights:  40%" in made.site.vllmd("status").stdout
        )


@pytest.fixture
def log_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 MiB for the log."""
    with small_disk(tmp_path / "log", "200m") as disk:
        yield disk


def test_full_disk_never_stops_the_engine_and_every_missing_line_is_counted(
    tmp_path: Path, log_disk: Path, outcome: Outcome
) -> None:
    with printing(tmp_path, seed=5) as made:

        def value(name: str) -> float:
            for line in made.site.metrics().splitlines():
                if line.startswith(f'{name}{{vllmd_engine="chat"}}'):
                    return float(line.rpartition(" ")[2])
            return 0.0

        def dropped_more_than(count: float) -> bool:
            return value("vllmd_log_dropped_lines_total") > count

        for _ in range(2):
            filler = fill(log_disk)
            before = value("vllmd_log_dropped_lines_total")
            wait_for("dropped lines", functools.partial(dropped_more_than, before + 100))
            assert value("vllmd_log_writable") == 0
            filler.unlink()
            wait_for("a disk that takes lines", lambda: value("vllmd_log_writable") == 1)
        fill(log_disk)
        made.finish()
        lines, missing = made.check()
    assert 0 < missing < lines
    outcome("full disk under the log", "the engine prints on; every missing line is counted")


def test_logrotate_with_the_classic_stanza_does_no_harm(tmp_path: Path) -> None:
    needs("logrotate")
    with printing(tmp_path, seed=11) as made:
        stanza = tmp_path / "stanza"
        stanza.write_text(
            f"{made.log} {{ su root root\nrotate 99\ncreate 0640\nnodateext\nmissingok }}\n"
        )
        for _ in range(3):
            time.sleep(0.4)
            subprocess.run(
                ["logrotate", "-f", "-s", str(tmp_path / "state" / "logrotate"), str(stanza)],
                check=True,
            )
        made.finish()
        foreign = [made.log.with_name(f"chat.log.{n}") for n in (3, 2, 1)]
        kept = {line for path in foreign for line in path.read_bytes().split(b"\n")}
        kept |= set(made.on_disk())
        printed = made.reference()
    assert [line for line in printed if line not in kept] == []
