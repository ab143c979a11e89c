import random
import re
import tracemalloc

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.helpers.reference import normalised
from vllmd.shim.output_filter import CUT, HOLD_BYTES, MASK, MAX_LINE_BYTES, OutputFilter

SECRETS = ("tok-123456", "tok-1234567890")
WORDS = st.one_of(
    st.sampled_from([b"INFO ", b"\x1b[31m", b"\x1b[0;1m", b"\r", b"\n", b"\r\n", b"\xff\x00"]),
    st.sampled_from([b"50%|##", b"tok-", b"123456", b"tok-1234567890", b"x" * 700]),
)


def fed(
    parts: list[bytes], secrets: tuple[str, ...] = SECRETS, marks: tuple[str, ...] | None = None
) -> bytes:
    lines = OutputFilter(secrets, marks)
    return b"".join([*map(lines.feed, parts), lines.finish()])


@pytest.mark.long
@given(st.lists(st.lists(WORDS, max_size=12).map(b"".join), max_size=12))
def test_feed_is_the_reference_however_the_blocks_are_cut(parts: list[bytes]) -> None:
    assert fed(parts) == normalised(b"".join(parts), SECRETS)
    assert fed(parts, marks=("50%",)) == normalised(b"".join(parts), SECRETS)


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (b"\rLoading:   0%\rLoading:  50%\rLoading: 100%\n", b"Loading: 100%\n"),
        (b"windows\r\n", b"windows\n"),
        (b"gone\r   \rkept\r\r\n", b"kept\n"),
        (b"\x1b[1;36m(EngineCore)\x1b[0;0m hi\n", b"(EngineCore) hi\n"),
        (b"\x1b]8;;http://a\x07link\x1b]8;;\x1b\\ \x1b(B\x1b=done\n", b"link done\n"),
        (b"\x1b\x1b[m]52;c;ZXZpbA==\x07\n", b"\\x1b]52;c;ZXZpbA==\\x07\n"),
        (b"\x1b\x1b(B[2J\n", b"\\x1b[2J\n"),
        (b"a\x1b]0;no end\n", b"a\\x1b]0;no end\n"),
        (b"\x1bP$q\x1b\\ \x1b_a\x1b\\\n", b"\\x1bP$q\\x1b\\ \\x1b_a\\x1b\\\n"),
        (b"a\xc2\x9b31mX \xc2\xb0C\n", b"a\\x9b31mX \xc2\xb0C\n"),
        (b"secret\x08\x08 \x00\x7f\x0e\tend\n", b"secret\\x08\\x08 \\x00\\x7f\\x0e\tend\n"),
        (b"\xff\xfe no UTF-8\n", b"\xff\xfe no UTF-8\n"),
        (b"no newline at the end", b"no newline at the end\n"),
        (b"key tok-1234567890, tok-123456!\n", MASK.join([b"key ", b", ", b"!\n"])),
        (b"hf_" + b"aB3" * 11 + b"\n", MASK + b"\n"),
        (b"hf_transfer is off\n", b"hf_transfer is off\n"),
    ],
)
def test_feed_keeps_what_a_person_wants_to_read(printed: bytes, kept: bytes) -> None:
    assert fed([printed]) == kept
    assert fed([bytes([byte]) for byte in printed]) == kept


def test_feed_a_line_of_megabytes_passes_in_pieces_and_is_never_held_whole() -> None:
    line = b"abc" * 1_000_000 + b"\n"
    lines = OutputFilter()
    out, most = b"", 0
    for start in range(0, len(line), 65536):
        out += lines.feed(line[start : start + 65536])
        most = max(most, len(lines.unfinished))
    assert out.replace(CUT, b"") == line
    assert lines.cut_lines == out.count(CUT) == len(line) // MAX_LINE_BYTES
    assert max(map(len, out.splitlines())) <= MAX_LINE_BYTES + len(CUT)
    assert most <= MAX_LINE_BYTES + HOLD_BYTES + 65536


@pytest.mark.parametrize("shift", range(0, 40, 3))
def test_feed_secret_where_a_long_line_is_cut_is_masked_whole(shift: int) -> None:
    secret = "hf_" + "s3" * 20
    line = b"x" * (MAX_LINE_BYTES + shift) + f" {secret} ".encode() + b"y" * HOLD_BYTES
    out = fed([line[: MAX_LINE_BYTES + 900], line[MAX_LINE_BYTES + 900 :], b"z\n"], (secret,))
    assert secret.encode() not in out
    assert out.replace(CUT, b"") == line.replace(secret.encode(), MASK) + b"z\n"


@pytest.mark.long
def test_feed_control_characters_that_grow_when_they_are_shown_are_cut_too() -> None:
    lines = OutputFilter()
    out = b"".join(lines.feed(bytes(65536)) for _ in range(32)) + lines.finish()
    assert out.replace(CUT, b"") == b"\\x00" * 65536 * 32 + b"\n"
    assert max(map(len, out.splitlines())) < 2 * MAX_LINE_BYTES
    assert lines.cut_lines == out.count(CUT)


@pytest.mark.parametrize("block", [random.Random(1).randbytes(128 * 1024), b"\xc2\x85" * 65536])
def test_feed_what_is_no_text_takes_memory_by_its_size_and_not_by_its_characters(
    block: bytes,
) -> None:
    lines = OutputFilter()
    tracemalloc.start()
    lines.feed(block + b"\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 7 * len(block)


def test_feed_never_cuts_within_a_character() -> None:
    line = b"x" + "é".encode() * (MAX_LINE_BYTES // 2 + HOLD_BYTES)
    out = fed([line, b"\n"])
    assert CUT in out
    out.decode()


@pytest.mark.parametrize(("byte", "back"), [(b"\x80", 3), (b"\xbf", 3), (b"\xc0", 0), (b"\xff", 0)])
def test_feed_a_line_that_is_no_text_is_cut_and_never_held_whole(byte: bytes, back: int) -> None:
    lines, block = OutputFilter(), byte * 65536
    out, most = b"", 0
    for _ in range(64):
        out += lines.feed(block)
        most = max(most, len(lines._rest))
    assert most <= MAX_LINE_BYTES + HOLD_BYTES + 65536
    pieces = out.split(CUT)
    assert {len(piece) for piece in pieces[:-1]} == {MAX_LINE_BYTES - back}
    assert (out + lines.finish()).replace(CUT, b"") == block * 64 + b"\n"


@pytest.mark.long
def test_feed_a_line_of_colours_is_no_line_and_hides_no_secret() -> None:
    secret = "tok-" + "s3" * 40
    coloured = b"\x1b[0m" * (MAX_LINE_BYTES // 2)
    for before in range(HOLD_BYTES - 300, HOLD_BYTES + 300, 10):
        printed = b"x" * before + secret.encode() + b"y" * 40
        out = fed([printed + coloured, b"\n"], (secret,))
        assert out == b"x" * before + MASK + b"y" * 40 + b"\n"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_feed_never_lets_a_control_character_through(parts: list[bytes]) -> None:
    codes = [b"\x1b", b"[", b"]0;", b"m", b"\x07", b"\xc2\x9b", b"P", b"\\"]
    printed = [part + codes[len(part) % 8] + codes[sum(part) % 8] for part in parts]
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", fed(printed))


def test_feed_bar_of_an_hour_takes_no_memory_and_is_one_line() -> None:
    lines = OutputFilter()
    for done in range(20_000):
        assert lines.feed(b"\rDownloading: %d%%" % done + b"#" * 100) == b""
    assert len(lines._rest) < 2000
    assert lines.unfinished.startswith(b"Downloading: 19999%#")
    assert lines.feed(b"\n") == b"Downloading: 19999%" + b"#" * 100 + b"\n"


def test_short_secrets_mask_nothing() -> None:
    assert fed([b"a 12 b\n"], ("12",)) == b"a 12 b\n"


def test_counted_lines_have_neither_marks_nor_what_is_to_be_changed() -> None:
    lines = OutputFilter(SECRETS, ["ERROR", "step 1"])
    assert lines.feed(b"INFO 1\nINFO 2\nx 3\n") == b"INFO 1\nINFO 2\nx 3\n"
    assert lines.counted == {"info": [2, 14], "none": [1, 4]}
    for looked_at in (b"an ERROR\n", b"step 1\n", b"key tok-123456\n", b"\x1b[1mx\n", b"a\rb\n"):
        lines = OutputFilter(SECRETS, ["ERROR", "step 1"])
        lines.feed(b"INFO 1\n")
        lines.feed(looked_at)
        assert lines.counted is None
        lines.feed(b"INFO 4\n")
        assert lines.counted == {"info": [1, 7]}


def test_counted_without_marks_is_nothing() -> None:
    lines = OutputFilter(SECRETS)
    lines.feed(b"INFO 1\n")
    assert lines.counted is None


def test_finish_gives_what_nobody_counted() -> None:
    lines = OutputFilter((), [])
    lines.feed(b"INFO 1\nINFO")
    assert lines.counted is not None
    lines.finish()
    assert lines.counted is None
