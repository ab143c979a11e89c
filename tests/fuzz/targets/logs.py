"""What an engine prints: filtered by the shim, read for the cause, shown in a terminal."""

from pathlib import Path

from tests.fuzz.target import Target
from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Facts
from vllmd.engine.log_reading.reading import read_output
from vllmd.engine.offline_diagnosis import diagnose_output
from vllmd.shim.output_filter import OutputFilter
from vllmd.util.terminal_text import harmless

DATA = Path(__file__).parents[2] / "data"
ESCAPE = "\x1b"


def _run(data: bytes) -> None:
    cut = data[:1][0] * 40 if data else 0
    first = OutputFilter()
    out = first.feed(data[:cut]) + first.feed(data[cut:]) + first.finish()
    assert ESCAPE not in harmless(out.decode("utf-8", "surrogateescape"))
    for text in (out, data):
        lines = text.decode("utf-8", "replace").split("\n")
        read_output(lines)
        read_output(lines, served=True)
        found = diagnose_output(lines, None)
        diagnose(Facts("1", tuple(lines), served=True))
        assert found.cause
        assert found.advice


def _corpus() -> list[bytes]:
    whole = [path.read_bytes()[-6000:] for path in sorted((DATA / "engine-logs").glob("*.log"))]
    return [*whole, *(path.read_bytes()[:6000] for path in sorted((DATA / "causes").glob("*.log")))]


TARGET = Target(
    "logs",
    _run,
    _corpus,
    scraps=(
        *(
            b"Traceback (most recent call last):\n",
            b'  File "a.py", line 1, in f\n',
            b"    f()\n    ^^^\n",
        ),
        *(
            b"\nThe above exception was the direct cause of the following exception:\n\n",
            b"ValueError: x\n",
        ),
        *(
            b"\nDuring handling of the above exception, another exception occurred:\n\n",
            b"  + Exception Group ",
        ),
        *(
            b"(EngineCore_DP0 pid=12) ",
            b"ERROR 11-28 21:06:22 [core.py:12] ",
            b"\r",
            b"\x1b[31m",
            b"\x1b]52;c;",
        ),
        *(
            b"\x1b\x1b[m]",
            b"\x1bP",
            b"  | ",
            b"  [Previous line repeated 996 more times]\n",
            b"RuntimeError: ",
        ),
        *(
            b"  +-+---------------- 1 ----------------\n",
            b"torch.OutOfMemoryError: ",
            b"KeyError: 'a'\n" * 50,
        ),
    ),
)
