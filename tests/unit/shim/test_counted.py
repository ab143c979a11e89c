import pytest

from vllmd.shim import counted
from vllmd.shim.counted import Counted

PART = Counted(10, 50, {"info": [2, 30], "none": [1, 10]})


def test_decode_reads_what_encode_writes() -> None:
    line = counted.encode("abc", PART)
    assert line == b"=abc 10 50 info:2:30 none:1:10\n"
    assert counted.decode("abc", line) == PART


@pytest.mark.parametrize(
    "line",
    [
        b"=abd 10 50 info:2:40",  # of other marks
        b"=abc 10 50 info:2:4",  # cut by a full disk
        b"=abc 10 50",
        b"=abc 10 50 info:2",
        b"=abc 50 50",
        b"=abc 50 10 info:1:-40",
        b"=abc 10 50 loud:2:40",
        b"=abc ten 50 info:2:40",
        b"=abc 10 50 info:2:40 \xff",
        b"=abc",
        b"0 1795000000.25",
        b"",
    ],
)
def test_decode_of_what_is_no_note_is_nothing(line: bytes) -> None:
    assert counted.decode("abc", line) is None


def test_tag_is_of_the_marks_in_any_order() -> None:
    assert counted.tag_of(["a", "b"]) == counted.tag_of(["b", "a"])
    assert len({counted.tag_of(each) for each in ([], ["a"], ["a", "b"], ["ab"])}) == 4


def test_add_leaves_what_is_added_alone() -> None:
    sum_, more = {"info": [1, 10]}, {"info": [2, 20], "error": [1, 5]}
    counted.add(sum_, more)
    counted.add(sum_, more)
    assert sum_ == {"info": [5, 50], "error": [2, 10]}
    assert more == {"info": [2, 20], "error": [1, 5]}
