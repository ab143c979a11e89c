"""An engine that only prints: floods, bars, colours, secrets; and notes exactly what it printed.

Run as a program: ``babbler.py NOTES SECRET SEED``, what follows is ignored as vLLM's flags. It
prints until the file NOTES.stop is there, then waits for its end. Its lines are as long as LONGEST
bytes at most.
"""

import os
import random
import sys
import time
from collections.abc import Iterator

INFO = b"(APIServer pid=%d) INFO 11-23 18:48:58 [loggers.py:259] line %d "
LONGEST = "LONGEST"
"""The variable that says how long lines are at most, in bytes."""
ERROR = b"(EngineCore pid=%d) ERROR 11-23 18:48:58 [core.py:1] boom %d "


def babble(chance: random.Random, secret: bytes, longest: int) -> Iterator[tuple[bytes, float]]:
    """Yield what to print and how long to pause after it, for ever."""
    pid, number = os.getpid(), 0
    while True:
        number += 1
        match chance.randrange(12):
            case 0:
                flood = [INFO % (pid, number + n) + b"x" * 150 for n in range(2000)]
                number += len(flood)
                yield b"\n".join(flood) + b"\n", 0.05
            case 1:
                bar = [b"\rLoading: %3d%%|%s" % (n, b"#" * (n // 4)) for n in range(0, 101, 5)]
                for state in bar:
                    yield state, 0.001
                yield b"\n", 0.0
            case 2:
                yield b"\x1b[1;31m" + ERROR % (pid, number) + b"\x1b[0m\r\n", 0.01
            case 3:
                yield b"bytes \xff\xfe\x00 of no text\n", 0.0
            case 4:
                half = len(secret) // 2
                yield b"api_key=" + secret[:half], 0.005
                yield secret[half:] + b" was used\n", 0.0
            case 5:
                yield b"long " + b"abcdefgh" * chance.randrange(longest // 8) + b"\n", 0.0
            case _:
                yield INFO % (pid, number) + b"\n", 0.004


def main() -> None:
    notes, secret, seed = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
    longest = int(os.environ[LONGEST])
    slowest = 0.0
    with open(notes, "ab", buffering=0) as file:
        for piece, pause_s in babble(random.Random(seed), secret, longest):
            file.write(piece)
            began = time.monotonic()
            left = memoryview(piece)
            while left:
                left = left[os.write(1, left) :]
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(pause_s)
            if piece.endswith(b"\n") and os.path.exists(f"{notes}.stop"):
                break
    with open(f"{notes}.slowest", "w") as file:
        file.write(f"{slowest:.4f}")
    os.rename(f"{notes}.stop", f"{notes}.stopped")
    time.sleep(3600)


if __name__ == "__main__":
    main()
