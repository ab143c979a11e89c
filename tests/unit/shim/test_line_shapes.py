import hypothesis.strategies as st
import pytest
from hypothesis import given

from vllmd.logs.level_counts import LevelCounts
from vllmd.shim import line_shapes
from vllmd.shim.counted import Counts
from vllmd.shim.line_shapes import LineShapes, zeroed

BAD = b"boom"
LINE = st.one_of(
    st.sampled_from(
        [
            b"(APIServer pid=) INFO 11-23 18:48:58 [x.py:1] a",
            b"(W pid=41) CRITICAL 11-23 18:48:58 [x.py:1] b",
            b"[W1123 18:49:17.7 utils.cpp:68] d",
            b"x.py, ERROR in it",
            b"INFO",
            b"\xff\xfe",
            b"",
        ]
    ),
    st.integers(0, 99999).map(b"(APIServer pid=7) INFO:     10.0.0.1:%d - 200 OK".__mod__),
    st.integers(0, 99999).map(b"INFO:     10.0.0.1:%d - 200 OK".__mod__),
)
BLOCKS = st.lists(st.lists(st.one_of(LINE, LINE, LINE, st.just(BAD)), min_size=1), max_size=8)


def shapes() -> LineShapes:
    return LineShapes(lambda shape: BAD not in shape)


def block_of(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def read_line_by_line(block: bytes) -> Counts:
    counts = LevelCounts()
    counts.add(block)
    return {level: [n, counts.bytes[level]] for level, n in counts.lines.items() if n}


@pytest.mark.long
@pytest.mark.parametrize("piece_bytes", [1, 40, line_shapes.PIECE_BYTES])
@given(BLOCKS)
def test_count_is_as_reading_each_line_or_nothing(
    piece_bytes: int, blocks: list[list[bytes]]
) -> None:
    known = shapes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_shapes, "PIECE_BYTES", piece_bytes)
        patch.setattr(line_shapes, "USUAL_SHARE", 0)
        _count_all(known, blocks)


def _count_all(known: LineShapes, blocks: list[list[bytes]]) -> None:
    for lines in blocks:
        block = block_of(lines)
        found = known.count(block)
        if BAD in lines:
            assert found is None
        elif found is not None:
            assert found == read_line_by_line(block)


def test_count_knows_a_flood_whatever_its_digits() -> None:
    asked: list[bytes] = []

    def is_plain(shape: bytes) -> bool:
        asked.append(shape)
        return True

    known = LineShapes(is_plain)
    for start in range(0, 500, 50):
        lines = [b"INFO: %03d" % n for n in range(start, start + 50)]
        assert known.count(block_of(lines)) == {"info": [50, 500]}
    assert asked == [b"INFO: 000"]


def test_count_a_line_that_another_one_ends_with_is_not_counted_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_shapes, "PIECE_BYTES", 1)
    known = shapes()
    block = block_of([b"b", b"ab", b"b", b"ab"])
    for _ in range(3):
        assert known.count(block) == {"none": [4, 10]}
    assert known.count(b"ab\nab\n") == {"none": [2, 6]}
    assert known.count(b"b\nab\n") == {"none": [2, 5]}


def test_count_looks_at_no_line_of_a_piece_of_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    known = shapes()
    block = block_of([b"INFO: %d 200 OK" % (n % 10) for n in range(5000)])
    counts = {"info": [5000, len(block)]}
    assert known.count(block) == counts
    monkeypatch.setattr(known, "_one_by_one", None)
    assert known.count(block) == counts


def test_count_has_bounds_for_what_it_keeps() -> None:
    known = shapes()
    assert known.count(b"x" * (line_shapes.MAX_SHAPE_BYTES + 1) + b"\n") is None
    assert known.count(b"\n" * (line_shapes.MAX_LINES + 1)) is None
    assert shapes().count(b"x" * line_shapes.MAX_BLOCK_BYTES + b"\n") is None
    known = shapes()
    for first in range(100):
        block = block_of([bytes([97 + first % 26, 97 + n, 97 + first // 26]) for n in range(25)])
        assert known.count(block) == {"none": [25, 100]}
        assert len(known._levels) <= line_shapes.MAX_SHAPES


def test_count_does_not_look_at_each_block_of_lines_that_are_never_alike() -> None:
    looked_at: list[bytes] = []

    def is_plain(shape: bytes) -> bool:
        looked_at.append(shape)
        return False

    known = LineShapes(is_plain)
    for _ in range(100):
        assert known.count(b"x\n") is None
    assert 3 <= len(looked_at) <= 15


@given(st.binary(), st.binary(), st.binary())
def test_zeroed_keeps_what_is_in_it(before: bytes, inner: bytes, after: bytes) -> None:
    assert zeroed(inner) in zeroed(before + inner + after)
