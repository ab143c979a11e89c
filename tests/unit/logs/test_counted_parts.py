from pathlib import Path

from vllmd.logs.counted_parts import CountedParts
from vllmd.logs.reader import Position
from vllmd.shim import counted, logfiles
from vllmd.shim.counted import Counted

MARKS = ("ERROR",)
TAG = counted.tag_of(MARKS)


def note(begin: int, end: int, tag: str = TAG) -> bytes:
    return counted.encode(tag, Counted(begin, end, {"info": [1, end - begin]}))


def beside(tmp_path: Path, number: int) -> Path:
    return Path(logfiles.times(str(tmp_path / "a.log"), number))


def test_next_is_the_first_part_from_a_position_on_as_they_come(tmp_path: Path) -> None:
    parts = CountedParts(str(tmp_path / "a.log"), MARKS)
    assert parts.next(Position(1, 0)) is None
    beside(tmp_path, 1).write_bytes(b"0 1795000000.10\n" + note(0, 10) + note(20, 30)[:-3])
    assert parts.next(Position(1, 0)) == Counted(0, 10, {"info": [1, 10]})
    assert parts.next(Position(1, 5)) is None  # the one that was begun is read once it is whole
    with beside(tmp_path, 1).open("ab") as file:
        file.write(note(20, 30)[-3:] + note(30, 40, "other") + note(50, 60))
    assert [parts.next(Position(1, at)) for at in (10, 21)] == [
        Counted(20, 30, {"info": [1, 10]}),
        Counted(50, 60, {"info": [1, 10]}),
    ]


def test_next_of_another_file_reads_that_one(tmp_path: Path) -> None:
    parts = CountedParts(str(tmp_path / "a.log"), MARKS)
    beside(tmp_path, 1).write_bytes(note(0, 10))
    beside(tmp_path, 2).write_bytes(note(0, 20))
    assert [parts.next(Position(number, 0)) for number in (1, 2, 1)] == [
        Counted(0, end, {"info": [1, end]}) for end in (10, 20, 10)
    ]
