"""A case as a running vllmd sees it: its log grows in pieces, then it ends and its cause is told.

The objects are the daemon's own; only the shim's process, and time, are not there.
"""

import asyncio
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.helpers.clock import FakeClock
from tests.helpers.make import status
from tests.verdicts.model import Case, Phase
from vllmd.engine import exits
from vllmd.engine.causes.base import Diagnosis
from vllmd.engine.doubts import Doubts
from vllmd.engine.early_diagnosis import EarlyDiagnosis
from vllmd.engine.offline_diagnosis import SHELL_SIGNAL
from vllmd.engine.output.engine_output import EngineOutput
from vllmd.engine.output.first_errors import FirstErrors
from vllmd.engine.output.run_output import LAST_BYTES
from vllmd.engine.state_machine import State
from vllmd.logs.reader import end_of, read_last
from vllmd.shim.main import EXIT_TAIL_LINES
from vllmd.shim.output_filter import OutputFilter
from vllmd.shim.protocol import ROTATION, ExitRecord
from vllmd.util.units import KIB

MOST_PIECES = 6
"""In so many looks at the log a run is seen; the daemon looks every 2 s."""
FEW_BYTES = 4 * KIB
"""In the place of `LAST_BYTES`: as if a flood had come after all that is earlier."""
TAIL_BYTES = 64 * KIB
_CAUSE = re.compile(r"\(cause: (\w+)\)$")
BEFORE = b"(APIServer pid=1) ERROR 11-01 10:00:00 [x.py:1] OSError: of the run before\n"


@attrs.frozen
class Seen:
    """What was said of a run when it had ended; the cause of a start before that, if one was."""

    end: Diagnosis
    early: str | None


class Daemon:
    """What of a vllmd follows one engine; another one may go on where it was."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.errors = FirstErrors()
        memory = log.with_suffix(".json")
        self.output = EngineOutput("chat", log, log.parent, memory, ROTATION, self.errors)
        self.engine, self.doubts = status(state=State.LOADING, run_id="r"), Doubts()
        known = {"chat": self.errors}
        self.early = EarlyDiagnosis(lambda: [self.engine], known, self.doubts, FakeClock(), str)

    def look(self, *, loading: bool) -> None:
        """Read on; of a start it is told what is known already."""
        self.output.look()
        if loading:
            asyncio.run(self.early.look())


def pieces(text: bytes, draw: random.Random) -> Iterator[bytes]:
    """Yield an output in pieces that end anywhere."""
    cuts = sorted(draw.randrange(len(text) + 1) for _ in range(draw.randrange(MOST_PIECES)))
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        yield text[start:stop]


def seen_live(case: Case, folder: Path) -> Seen:
    """Return what the daemon says of a case; its log is in an empty folder.

    By its name it is drawn whether the log fits what is read at the end or a flood pushed the most
    of it out, and whether another daemon goes on after a piece of the output.
    """
    log = folder / "chat.log"
    log.write_bytes(BEFORE)
    log.with_suffix(".json").unlink(missing_ok=True)
    begin, daemon, normaliser = end_of(str(log)), Daemon(log), OutputFilter()
    daemon.look(loading=False)
    daemon.errors.begin(begin)
    draw = random.Random(zlib.crc32(case.name.encode()))
    last_bytes, restarted = draw.choice(
        ((LAST_BYTES, False), (FEW_BYTES, False), (LAST_BYTES, True), (FEW_BYTES, True))
    )
    text = "".join(f"{line}\n" for line in case.lines).encode()
    loading = case.failure.phase is not Phase.SERVING
    given = list(pieces(text, draw))
    changed = draw.randrange(len(given))
    with log.open("ab", buffering=0) as file:
        for number, piece in enumerate(given):
            file.write(normaliser.feed(piece))
            if restarted and number == changed:
                daemon.output.close()
                daemon = Daemon(log)
            daemon.look(loading=loading)
        file.write(normaliser.finish())
    daemon.output.look()
    daemon.output.close()
    printed = daemon.errors.before(*read_last(str(log), begin, last_bytes))
    tail, _ = read_last(str(log), begin, min(TAIL_BYTES, last_bytes // 4))
    ended = exits.explain(_ended(case, tail[-EXIT_TAIL_LINES:]), printed, served=not loading)
    assert ended.diagnosis is not None
    told = [_CAUSE.search(doubt.found) for doubt in daemon.doubts.of(daemon.engine)]
    return Seen(ended.diagnosis, told[0][1] if told and told[0] else None)


def _ended(case: Case, tail: list[str]) -> exits.Exit:
    """Return the end as the shim writes it down."""
    code = case.failure.exit_code
    signal = code - SHELL_SIGNAL if code > SHELL_SIGNAL else None
    record: ExitRecord = {
        "protocol": 1,
        "engine": "chat",
        "run_id": "r",
        "engine_pid": 1,
        "exit_code": None if signal else code,
        "signal": signal,
        "error": None,
        "requested": False,
        "started_at": 1.0,
        "ended_at": 2.0,
        "killed": [],
        "log_lost_bytes": 0,
        "tail": tail,
    }
    return exits.from_record(record)
