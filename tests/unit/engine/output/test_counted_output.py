"""What the daemon knows of lines that its shim has counted, beside a daemon that reads them all."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from vllmd.engine.output.engine_output import EngineOutput
from vllmd.engine.output.first_errors import ALL_MARKS, FirstErrors
from vllmd.logs.reader import Position
from vllmd.shim.counted import tag_of
from vllmd.shim.logfile import LogFile
from vllmd.shim.output_filter import OutputFilter
from vllmd.shim.protocol import ROTATION, Rotation

ACCESS = b'(APIServer pid=7) INFO:     10.0.0.1:%d - "POST /v1/completions HTTP/1.1" 200 OK\n'
SEEN = (
    b"(APIServer pid=7) INFO 11-23 18:48:58 [loggers.py:259] Running: 3 reqs\n",
    b"(APIServer pid=7) WARNING 11-23 18:48:58 [a.py:1] slow\n",
    b"(EngineCore pid=8) ERROR 11-23 18:48:59 [a.py:1] boom\n",
    b"it is said here:\nTraceback (most recent call last):\n  File x, line 1\nValueError: no\n",
    b"NCCL WARN what may be the reason\n",
    b"INFO:     Application startup complete.\n",
    b"(EngineCore pid=8) ERROR 11-23 18:48:59 [core.py:1] EngineCore encountered a fatal error.\n",
    b"(APIServer pid=7) INFO 11-23 vLLM API server version 0.32.0\n",
    b"id %032x\n" % 2**127,
)


class Errors(FirstErrors):
    """Says how many bytes it was handed."""

    handed = 0

    def add(self, block: bytes, at: Position) -> None:
        self.handed += len(block)
        super().add(block, at)


class Shim:
    """The part of a shim that writes a log."""

    def __init__(self, log: Path, marks: Sequence[str] | None, max_bytes: int = 10**8) -> None:
        rotation: Rotation = {**ROTATION, "max_bytes": max_bytes, "period": "never", "keep": 10**4}
        self._filter = OutputFilter((), marks)
        self._file = LogFile(str(log), rotation, tag_of(marks or ()))

    def prints(self, block: bytes) -> None:
        lines = self._filter.feed(block)
        rest = memoryview(lines)
        while rest:
            written = self._file.write(rest, 1e9)
            rest = rest[written:]
            if self._filter.counted and written == len(lines):
                self._file.note(written, self._filter.counted)


def follow(folder: Path, log: Path, heard: list[bytes] | None = None) -> EngineOutput:
    listeners = [] if heard is None else [lambda block, _: heard.extend(block.splitlines())]
    memory = folder / "chat.log.json"
    return EngineOutput("chat", log, folder / "run", memory, ROTATION, Errors(), listeners)


def printed(seed: int, rare: float) -> list[bytes]:
    drawn = random.Random(seed)
    blocks = []
    for _ in range(60):
        lines = [ACCESS % drawn.randrange(1000, 9999) for _ in range(drawn.randrange(1, 400))]
        while drawn.random() < rare:
            lines.insert(drawn.randrange(len(lines) + 1), drawn.choice(SEEN))
        blocks.append(b"".join(lines))
    return blocks


@pytest.mark.parametrize("max_bytes", [50_000, 10**8])
@pytest.mark.parametrize("seed", [*range(6), 7, 9, 11, 13, 17, 18])
def test_look_counts_and_keeps_what_one_does_that_reads_every_line(
    seed: int, max_bytes: int, tmp_path: Path
) -> None:
    outputs = []
    blocks = printed(seed, rare=0.1 + 0.1 * (seed % 3))
    for name, marks in (("reads", None), ("passes-over", ALL_MARKS)):
        log = tmp_path / name / "chat.log"
        log.parent.mkdir()
        shim, output = Shim(log, marks, max_bytes), follow(log.parent, log)
        for count, block in enumerate(blocks):
            shim.prints(block)
            if count % 7 == seed % 7:
                output.look()
            if count == 30:  # another daemon goes on
                output.look()
                kept, output = output, follow(log.parent, log)
                output._counts = kept._counts
        for _ in range(10):
            output.look()
        outputs.append(output)
    reads, passes_over = (output.figures() for output in outputs)
    assert (passes_over.lines, passes_over.bytes) == (reads.lines, reads.bytes)
    assert sum(reads.bytes.values()) == sum(map(len, blocks))
    said = [output._errors.before(()) for output in outputs]
    assert said[0] == said[1]
    assert outputs[1]._errors.handed <= outputs[0]._errors.handed  # type: ignore[attr-defined]


def test_look_reads_nothing_of_a_flood_that_says_nothing(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    shim, output = Shim(log, ALL_MARKS), follow(tmp_path, log)
    for block in printed(1, rare=0):
        shim.prints(block + 50 * (ACCESS % 1234))
    output.look()
    assert output._errors.handed == 0  # type: ignore[attr-defined]
    assert sum(output.figures().bytes.values()) == log.stat().st_size


@pytest.mark.parametrize("why", ["copies", "other-marks", "another-wrote"])
def test_look_reads_all_if_somebody_wants_the_lines_or_notes_do_not_hold(
    why: str, tmp_path: Path
) -> None:
    log = tmp_path / "chat.log"
    heard: list[bytes] = []
    shim = Shim(log, ["other"] if why == "other-marks" else ALL_MARKS)
    output = follow(tmp_path, log, heard if why == "copies" else None)
    shim.prints(100 * (ACCESS % 1234))
    if why == "another-wrote":
        log.write_bytes(b"moved by so much" + log.read_bytes())
    output.look()
    assert output._errors.handed == log.stat().st_size  # type: ignore[attr-defined]
    assert len(heard) == (100 if why == "copies" else 0)
    assert output.figures().lines["info"] + output.figures().lines["none"] == 100


def test_look_keeps_what_follows_an_error_also_of_lines_that_were_counted(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    shim, output = Shim(log, ALL_MARKS), follow(tmp_path, log)
    shim.prints(SEEN[2])
    output.look()
    shim.prints(100 * (ACCESS % 1234))
    output.look()
    assert len(output._errors.before(())) == 101
