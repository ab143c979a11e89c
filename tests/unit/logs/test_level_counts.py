import hypothesis.strategies as st
from hypothesis import given

from vllmd.logs.level_counts import LevelCounts
from vllmd.logs.lines import parse_line

LINES = st.lists(
    st.sampled_from(
        [
            b"(APIServer pid=30575) INFO 11-23 18:48:58 [x.py:1] a",
            b"(APIServer pid=30575) ERROR 11-23 18:48:58 [x.py:1] boom",
            b"(Worker_TP10_EP10 pid=4194303) CRITICAL 11-23 18:48:58 [x.py:1] b",
            b"DEBUG 11-23 18:48:58 [x.py:1] c",
            b"[W1123 18:49:17.7 utils.cpp:68] d",
            b"  File x.py, ERROR in it",
            b"\xff\xfe",
            b"",
        ]
    )
)


@given(LINES)
def test_add_counts_as_reading_each_line_does(lines: list[bytes]) -> None:
    counts = LevelCounts()
    bad = counts.add(b"".join(line + b"\n" for line in lines))
    parsed = [parse_line(line.decode(errors="replace")).level for line in lines]
    assert {k: v for k, v in counts.lines.items() if v} == {k: parsed.count(k) for k in parsed}
    assert sum(counts.bytes.values()) == sum(len(line) + 1 for line in lines)
    assert bad == [ln for ln, lv in zip(lines, parsed, strict=True) if lv in ("error", "critical")]


def test_add_a_piece_without_a_newline_counts_its_bytes() -> None:
    counts = LevelCounts()
    counts.add(b"INFO: abc")
    assert (counts.lines["info"], counts.bytes["info"]) == (1, 10)
