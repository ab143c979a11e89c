from pathlib import Path

from vllmd.logs.line_times import LineTimes
from vllmd.shim import logfiles


def test_at_is_when_the_block_of_a_line_came(tmp_path: Path) -> None:
    log = str(tmp_path / "a.log")
    Path(logfiles.times(log, 7)).write_text("0 100.00\n50 101.50\nbro ken\n90 109.00\n95")
    arrivals = LineTimes(log, 7)
    assert [arrivals.at(n) for n in (0, 49, 50, 89, 1000)] == [100, 100, 101.5, 101.5, 109]
    assert [arrivals.offset_of(t) for t in (99, 101, 105, 200)] == [0, 0, 50, 90]


def test_at_without_the_file_is_not_known(tmp_path: Path) -> None:
    arrivals = LineTimes(str(tmp_path / "a.log"), 1)
    assert arrivals.at(5) is None
    assert arrivals.offset_of(100) == 0
