import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from vllmd.logs.reader import LogReader, Position
from vllmd.logs.reading import LineFilter, LogFilter, newest, oldest_first, to_come
from vllmd.shim import logfiles

PRINTED = [
    "(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] zero",
    "(EngineCore pid=2) ERROR 11-23 18:48:59 [a.py:1] one",
    "Traceback two",
    "(Worker_TP1 pid=3) WARNING 11-23 18:49:00 [a.py:1] three",
    "(APIServer pid=1) INFO 11-23 18:49:01 [a.py:1] four",
    "(EngineCore pid=2) CRITICAL 11-23 18:49:02 [a.py:1] five",
]


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Two lines in each of three files; line N came at 100 + N."""
    path = tmp_path / "a.log"
    for number in (1, 2, 3):
        first = 2 * number - 2
        lines = [line + "\n" for line in PRINTED[first : first + 2]]
        data = "".join(lines).encode()
        times = f"0 {100 + first}.0\n{len(lines[0])} {101 + first}.0\n"
        Path(logfiles.times(str(path), number)).write_text(times)
        if number == 1:
            path.with_name("a.log.000001.gz").write_bytes(gzip.compress(data))
        else:
            path.with_name("a.log.000002" if number == 2 else "a.log").write_bytes(data)
    return str(path)


def told(lines: Any) -> list[str]:
    return [line.text.split()[-1] for line in lines]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (LogFilter(), "zero one two three four five"),
        (LogFilter(since=102), "two three four five"),
        (LogFilter(since=101, until=103), "one two three"),
        (LogFilter(level="error"), "one two five"),
        (LogFilter(level="warning"), "one two three five"),
        (LogFilter(processes=("enginecore",)), "one two five"),
        (LogFilter(processes=("worker", "API")), "zero three four"),
        (LogFilter(grep=re.compile("t[wh]")), "two three"),
        (LogFilter(level="error", grep=re.compile("five")), "five"),
    ],
)
def test_oldest_first_is_all_that_is_wanted(log: str, wanted: LogFilter, expected: str) -> None:
    end = Position(3, Path(log).stat().st_size)
    assert told(oldest_first(log, wanted, end)) == expected.split()


@pytest.mark.parametrize("count", range(8))
def test_newest_is_the_end_of_all(log: str, count: int) -> None:
    everything = ["zero", "one", "two", "three", "four", "five"]
    found, end = newest(log, LogFilter(), count)
    assert told(found) == (everything[-count:] if count else [])
    assert end == Position(3, Path(log).stat().st_size)


def test_newest_that_are_wanted_are_looked_for_in_older_files(log: str) -> None:
    found, _ = newest(log, LogFilter(processes=("APIServer",)), 2)
    assert told(found) == ["zero", "four"]
    assert [line.at for line in found] == [100, 104]


def test_oldest_first_says_what_cannot_be_read_and_goes_on(log: str) -> None:
    Path(f"{log}.000001.gz").write_bytes(b"no gzip")
    found = list(oldest_first(log, LogFilter(), Position(3, Path(log).stat().st_size)))
    assert found[0].text.startswith("[vllmd] the rest of file 1 cannot be read")
    assert told(found[1:]) == ["two", "three", "four", "five"]


def test_newest_of_a_large_file_reads_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{n}\n" for n in range(100_000)))
    for count in (1, 3, 20_000):
        found, _ = newest(str(path), LogFilter(), count)
        assert told(found) == [str(n) for n in range(100_000 - count, 100_000)]


def test_to_come_goes_on_with_the_same_sieve(log: str) -> None:
    reader, line_filter = LogReader(log, Position(1, 0)), LineFilter(LogFilter(level="error"))
    assert told(to_come(reader, line_filter, 5.0)) == ["one", "two", "five"]
    with Path(log).open("a") as file:
        file.write("of five\n")
    found = list(to_come(reader, line_filter, 6.0))
    assert (told(found), found[0].at) == (["five"], 6.0)
