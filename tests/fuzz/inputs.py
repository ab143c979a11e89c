"""Known input, damaged, and a damaged input made small again."""

import random
import time
from collections.abc import Callable, Sequence

MAX_BYTES = 60_000
MAX_COPIES = 3000
SHRINK_TRIES = 400
SHRINK_S = 30.0
SCRAPS = (
    *(bytes([each]) for each in (0, 9, 10, 13, 27, 32, 34, 39, 44, 58, 61, 91, 92, 123, 125, 255)),
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xed\xa0\x80",
    b"\xc2\x9b",
    "\u2028\u202e".encode(),
    b"-1",
    b"1e400",
    b"NaN",
    b"null",
    b"true",
    b"9" * 30,
    b"1" + b"0" * 400,
    b"9" * 5000,
    b"[" * 3000,
    b"../../",
)


def damaged(
    data: bytes, chance: random.Random, corpus: Sequence[bytes], scraps: Sequence[bytes]
) -> bytes:
    """Return it with up to three damages, of kinds that bytes at random do not make."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.randint(1, 40))
        scrap = chance.choice(chance.choice((scraps or SCRAPS, SCRAPS)))
        match chance.randrange(8):
            case 0:
                data = data[:at] + data[end:]
            case 1:
                data = data[:at] + scrap + data[at:]
            case 2:
                data = data[:at] + scrap + data[end:]
            case 3:
                data = data[:end] + data[at:]
            case 4:
                data = data[:at] + scrap * chance.randrange(MAX_COPIES) + data[end:]
            case 5:
                other = chance.choice(corpus)
                data = data[:at] + other[chance.randrange(len(other) + 1) :]
            case 6:
                data = _value_changed(data, at, scrap)
            case _:
                data = data[:at] + (data[at:end] + b"\n") * chance.randrange(60) + data[end:]
    return data[:MAX_BYTES]


def _value_changed(data: bytes, at: int, scrap: bytes) -> bytes:
    """Put something in the place of what stands between two marks, such as a value in JSON."""
    marks = b":,[]{}=\n \"'"
    first = next((n for n in range(at, 0, -1) if data[n - 1] in marks), 0)
    last = next((n for n in range(max(at, first + 1), len(data)) if data[n] in marks), len(data))
    return data[:first] + scrap + data[last:]


def smaller(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    """Return the shortest input found with which it is `still` so."""
    size, tries, until = max(1, len(data) // 2), SHRINK_TRIES, time.process_time() + SHRINK_S
    while size and tries:
        at = 0
        while at < len(data) and tries:
            if time.process_time() > until:  # one that takes long is tried a few times
                return data
            shorter = data[:at] + data[at + size :]
            tries -= 1
            if still(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
